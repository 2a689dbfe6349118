package vhd

import (
	"fmt"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// writeVersion is raised whenever the same disk and options give other bytes.
const writeVersion = 1

// maxBytes is the largest virtual size of a fixed disk: the size's field has 64
// bits, but what no reader takes by default is not written.
const maxBytes = 64 << 40

// badOption returns the error of an option that is wrong. limit says what is
// right.
func badOption(name string, value any, limit string) error {
	return errcode.New(errcode.TargetOption, "vhd: option %s takes %s", name, limit).
		With(errcode.Evidence{Format: string(formats.VHD), Structure: "option", Field: name, Value: fmt.Sprint(value), Limit: limit})
}

// tooLarge returns the error of a source that does not fit the format.
func tooLarge(size, most int64) error {
	return errcode.New(errcode.VirtualSizeTooLarge, "a disk of %d bytes does not fit this kind of VHD", size).
		With(errcode.Evidence{Format: string(formats.VHD), Structure: "source", Field: "virtual size", Value: fmt.Sprint(size), Limit: fmt.Sprint(most)})
}

// virtualSize returns the least multiple of align that holds size bytes.
func virtualSize(size, align, most int64) (int64, error) {
	if size <= 0 {
		return 0, errcode.New(errcode.VirtualSizeZero, "the source's disk has %d bytes", size).
			With(errcode.Evidence{Format: string(formats.VHD), Structure: "source", Field: "virtual size", Value: fmt.Sprint(size)})
	}
	v, err := binio.AlignUp(size, align)
	if err != nil || v > most {
		return 0, tooLarge(size, most)
	}
	return v, nil
}

// uniqueID returns the id of option uuid, or the derived one if it is empty.
func uniqueID(uuid string, derived formats.ID) (formats.ID, error) {
	if uuid == "" {
		return derived, nil
	}
	if id, ok := formats.ParseID(uuid); ok {
		return id, nil
	}
	return formats.ID{}, badOption("uuid", uuid[:min(len(uuid), 80)], "a UUID such as 1b4e28ba-2fa1-41d2-883f-0016d3cca427, not all zeros")
}

// idSetting is what option uuid adds to a codec: equal ids are equal settings.
func idSetting(uuid string) string {
	id, err := uniqueID(uuid, formats.ID{})
	switch {
	case uuid == "":
		return ""
	case err != nil:
		return fmt.Sprintf(" uuid=%q", uuid)
	}
	return " uuid=" + id.String()
}
