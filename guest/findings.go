package guest

import (
	"fmt"

	"ingest/formats"
	"ingest/internal/errcode"
)

// collect gathers the findings of all parts, in the order of the disk.
func (f *Facts) collect() {
	own := f.Findings
	f.Findings = []formats.Finding{}
	for _, one := range f.Table.Findings {
		// The partition table of an ISO is there for firmware: it overlaps itself,
		// and its backup is wherever the maker of the image left it.
		if f.iso() {
			one.Severity = formats.SeverityInfo
		}
		f.Findings = append(f.Findings, one)
	}
	for _, v := range f.Volumes {
		f.Findings = append(f.Findings, v.Findings...)
		if why := v.notInspected(); why != "" {
			f.Findings = append(f.Findings, v.note(formats.SeverityInfo, "", "not inspected: "+why))
		}
		if l := v.Listing; l != nil {
			f.Findings = append(f.Findings, v.mounts(l.Devices)...)
			if l.Modules && len(l.Virtio) == 0 {
				f.Findings = append(f.Findings, v.note(formats.SeverityWarning, "Install a kernel with virtio drivers, or give the machine an emulated disk (hw_disk_bus).",
					"the system has no virtio drivers: it may not find its disk"))
			}
		}
	}
	f.Findings = append(f.Findings, own...)
}

// notInspected says why a recognised volume's tree was not read, "" if it was, or if
// nobody asked.
func (v Volume) notInspected() string {
	switch {
	case v.Kind == "":
		return ""
	case v.Listing != nil:
		return v.Listing.NotInspected
	default:
		return v.Unlistable
	}
}

// mounts warns of file systems that are mounted by names which depend on the machine.
func (v Volume) mounts(devices []string) []formats.Finding {
	if len(devices) == 0 {
		return nil
	}
	n := v.note(formats.SeverityWarning, "Mount by UUID= or LABEL= in /etc/fstab.",
		fmt.Sprintf("/etc/fstab mounts %s by a name that another machine may not give it", devices[0]))
	return []formats.Finding{n}
}

// note is a finding about a volume.
func (v Volume) note(sev formats.Severity, remedy, message string) formats.Finding {
	where := "whole disk"
	if v.Partition > 0 {
		where = fmt.Sprintf("partition %d", v.Partition)
	}
	n := formats.Note(errcode.Contents, sev, message, errcode.Evidence{Structure: where, Offset: errcode.At(v.Off), Value: v.Kind})
	n.Remedy = remedy
	return n
}

// note adds a finding about the disk.
func (f *Facts) note(message string, limit int) {
	n := formats.Note(errcode.Contents, formats.SeverityInfo, message, errcode.Evidence{Structure: "disk", Limit: fmt.Sprint(limit)})
	n.Remedy = ""
	f.Findings = append(f.Findings, n)
}
