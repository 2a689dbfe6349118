package progress

import (
	"fmt"
	"math"
	"time"
)

// Bytes writes a number of bytes in binary units, as in "1.50 GiB".
func Bytes(n int64) string {
	if n < 0 {
		return "unknown"
	}
	return inUnits(float64(n))
}

// Rate writes bytes a second, as in "120 MiB/s"; "" if there is none to tell.
func Rate(r float64) string {
	if r <= 0 || math.IsNaN(r) || math.IsInf(r, 0) {
		return ""
	}
	return inUnits(r) + "/s"
}

// inUnits keeps three significant digits, so that columns stay narrow.
func inUnits(v float64) string {
	units := [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	i := 0
	// 1023.5 would be printed as 1024 of the smaller unit.
	for v >= 1023.5 && i < len(units)-1 {
		v /= 1024
		i++
	}
	switch {
	case i == 0 || v >= 99.95:
		return fmt.Sprintf("%.0f %s", v, units[i])
	case v >= 9.995:
		return fmt.Sprintf("%.1f %s", v, units[i])
	default:
		return fmt.Sprintf("%.2f %s", v, units[i])
	}
}

// Duration writes a time span to the precision that people read it with, as in
// "350ms", "4.2s", "3m05s", "1h02m".
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "unknown"
	case d < 999500*time.Microsecond:
		return fmt.Sprintf("%dms", d.Round(time.Millisecond).Milliseconds())
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < 59500*time.Millisecond:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour-500*time.Millisecond:
		s := int64(d.Round(time.Second) / time.Second)
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	default:
		m := int64(d.Round(time.Minute) / time.Minute)
		return fmt.Sprintf("%dh%02dm", m/60, m%60)
	}
}
