// Package timewindow says when work may begin: in windows of the day such as
// "22:00-06:00 Europe/Berlin" or "Sat,Sun 00:00-24:00 UTC".
//
// The times of a window are those of the wall clocks in its time zone, on the days when
// it opens: a window across midnight that names days opens on those days, and closes on
// the morning after. A time that the clocks skip is the moment at which they skip it, and
// one that they show twice is its first.
//
// The time zones are those of this program, so that every machine agrees on them.
package timewindow
