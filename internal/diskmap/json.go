package diskmap

import (
	"bufio"
	"encoding/json"
	"io"
	"iter"

	"ingest/formats"
)

type jsonHead struct {
	Source      string `json:"source"`
	DiskFormat  string `json:"disk_format"`
	Subformat   string `json:"subformat"`
	VirtualSize int64  `json:"virtual_size"`
	FileSize    int64  `json:"file_size"`
	HolesKnown  bool   `json:"holes_known"`
}

type jsonExtent struct {
	Offset     int64  `json:"offset"`
	Length     int64  `json:"length"`
	State      string `json:"state"`
	Compressed bool   `json:"compressed"`
	HostOffset *int64 `json:"host_offset,omitempty"`
}

type jsonSum struct {
	Bytes   int64   `json:"bytes"`
	Percent float64 `json:"percent"` // of the virtual size
	Extents int64   `json:"extents"`
	Average int64   `json:"average"` // bytes
	Largest int64   `json:"largest"` // bytes
}

type jsonTotals struct {
	Data       jsonSum  `json:"data"` // not compressed
	Compressed jsonSum  `json:"compressed"`
	Zero       jsonSum  `json:"zero"`
	Hole       jsonSum  `json:"hole"`
	All        jsonSum  `json:"all"`
	Host       jsonHost `json:"host"`
}

// jsonHost says how the plain data lies in the file.
type jsonHost struct {
	PlainExtents   int64   `json:"plain_extents"`
	Pieces         int64   `json:"pieces"`
	InOrderPercent float64 `json:"in_order_percent"`
}

// WriteJSON writes one object with the head, the extents, one a line, unless
// summary is set, and the totals. It holds no more than one extent in memory.
// If the extents end with an error, it is returned and the object is left
// unfinished, so that no reader takes it for a whole one.
func WriteJSON(w io.Writer, h Head, extents iter.Seq2[formats.Extent, error], summary bool) (err error) {
	out := bufio.NewWriter(w)
	defer func() {
		if e := out.Flush(); err == nil {
			err = e
		}
	}()
	head, err := json.Marshal(jsonHead{h.Source, h.Format, h.Subformat, h.Size, h.FileSize, h.HolesKnown})
	if err != nil {
		return err
	}
	out.Write(head[:len(head)-1]) // the object stays open; bufio keeps its first error for Flush
	if !summary {
		out.WriteString(",\n\"extents\":[")
	}
	var t Totals
	sep := "\n"
	for e, err := range covering(extents, h.Size) {
		if err != nil {
			return err
		}
		t.Add(e)
		if summary {
			continue
		}
		b, err := json.Marshal(extentJSON(e))
		if err != nil {
			return err
		}
		out.WriteString(sep)
		if _, err := out.Write(b); err != nil {
			return err // nobody reads any more
		}
		sep = ",\n"
	}
	if !summary {
		out.WriteString("\n]")
	}
	totals, err := json.Marshal(totalsJSON(&t))
	if err != nil {
		return err
	}
	out.WriteString(",\n\"totals\":")
	out.Write(totals)
	out.WriteString("}\n")
	return nil
}

func extentJSON(e formats.Extent) jsonExtent {
	out := jsonExtent{Offset: e.Off, Length: e.Len, State: e.State.String(), Compressed: e.Compressed}
	if ClassOf(e) == Data && e.HostOff >= 0 {
		out.HostOffset = &e.HostOff
	}
	return out
}

func totalsJSON(t *Totals) jsonTotals {
	all := t.All()
	sum := func(s Sum) jsonSum {
		return jsonSum{s.Bytes, 100 * share(s.Bytes, all.Bytes), s.Extents, s.Average(), s.Largest}
	}
	return jsonTotals{
		Data: sum(t.Of[Data]), Compressed: sum(t.Of[Compressed]), Zero: sum(t.Of[Zero]), Hole: sum(t.Of[Hole]), All: sum(all),
		Host: jsonHost{t.Plain, t.Pieces, 100 * t.InOrder()},
	}
}
