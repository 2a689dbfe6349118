package guest

import "testing"

// TestDistro compares the IDs that distributions give themselves in os-release with
// the values of os_distro in Glance's "Useful image properties", or those of
// libosinfo, to which it refers, for what that list does not have.
func TestDistro(t *testing.T) {
	for id, want := range map[string]string{
		"debian": "debian", "ubuntu": "ubuntu", "rhel": "rhel", "centos": "centos", "fedora": "fedora", "arch": "arch", "archarm": "arch",
		"gentoo": "gentoo", "sles": "sles", "sles_sap": "sles", "sle_hpc": "sles", "sled": "sled", "opensuse": "opensuse",
		"opensuse-leap": "opensuse", "opensuse-tumbleweed": "opensuse", "rocky": "rocky", "almalinux": "almalinux", "ol": "ol", "freebsd": "freebsd", "Debian": "debian",
	} {
		if got := distro(id); got != want {
			t.Errorf("%s is %q, want %q", id, got, want)
		}
	}
}
