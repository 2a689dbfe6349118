package contract

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMergeProperties(t *testing.T) {
	type props = map[string]string
	debian := props{"os_type": "linux", "os_distro": "debian", "os_version": "12", "architecture": "x86_64", "hw_firmware_type": "uefi", "hw_machine_type": "q35"}
	less := func(names ...string) props {
		out := props{}
		for k, v := range debian {
			out[k] = v
		}
		for _, n := range names {
			delete(out, n)
		}
		return out
	}
	for _, c := range []struct {
		name         string
		owner, ovf   props
		inside, want props
	}{
		{"nothing is set", nil, nil, debian, debian},
		{"nothing is known", props{"a": "b"}, nil, nil, nil},
		{"the owner's stays", props{"os_version": "12.4", "note": "x"}, nil, debian, less("os_version")},
		{"an empty one is the owner's too", props{"os_version": ""}, nil, debian, less("os_version")},
		{"of another system no version", props{"os_distro": "ubuntu"}, nil, debian, less("os_distro", "os_version")},
		{"in other letters", props{"os_distro": "Debian"}, nil, debian, less("os_distro")},
		{"of another type nothing", props{"os_type": "windows"}, nil, debian, less("os_type", "os_distro", "os_version")},
		{"of other firmware no machine", props{"hw_firmware_type": "bios"}, nil, debian, less("hw_firmware_type", "hw_machine_type")},
		{"the machine's description wins", nil, props{"hw_firmware_type": "bios", "hw_disk_bus": "scsi"}, debian,
			props{"hw_firmware_type": "bios", "hw_disk_bus": "scsi", "os_type": "linux", "os_distro": "debian", "os_version": "12", "architecture": "x86_64"}},
		{"and is completed", nil, props{"os_type": "linux"}, debian, debian},
		{"unless it names another system", nil, props{"os_type": "windows"}, debian,
			props{"os_type": "windows", "architecture": "x86_64", "hw_firmware_type": "uefi", "hw_machine_type": "q35"}},
		{"the owner wins over both", props{"os_type": "linux", "hw_firmware_type": "uefi"}, props{"os_type": "windows", "hw_firmware_type": "bios"}, debian,
			less("os_type", "hw_firmware_type")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, MergeProperties(c.owner, c.ovf, c.inside)); diff != "" {
				t.Errorf("added (-want +got):\n%s", diff)
			}
		})
	}
}
