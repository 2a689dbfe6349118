package contract

import (
	"maps"
	"slices"
	"strings"
)

// MergeProperties returns the properties that an image gets beside those of its owner:
// each from the first layer that has it. The layers are, from the strongest to the
// weakest: what the policy gives, what the source's own catalogue says, what a container
// says of its machine, and what was found inside the disk.
//
// A property is left out if it says more of another one which a stronger layer has
// set differently: the version of a system is not that of the one which the owner
// names instead.
func MergeProperties(owner map[string]string, layers ...map[string]string) map[string]string {
	all := maps.Clone(owner)
	if all == nil {
		all = map[string]string{}
	}
	added := map[string]string{}
	for _, layer := range layers {
		fits := map[string]string{}
		for name, value := range layer {
			if _, taken := all[name]; !taken && agree(all, layer, name) {
				fits[name] = value
			}
		}
		maps.Copy(all, fits)
		maps.Copy(added, fits)
	}
	if len(added) == 0 {
		return nil
	}
	return added
}

// agree reports whether what a property says more of is the same in a layer as in what
// is set.
func agree(set, layer map[string]string, name string) bool {
	return !slices.ContainsFunc(about(name), func(of string) bool {
		has, said := set[of], layer[of]
		return has != "" && said != "" && !strings.EqualFold(has, said)
	})
}

// about lists the properties that a property says more of.
func about(name string) []string {
	switch name {
	case "os_distro":
		return []string{"os_type"}
	case "os_version":
		return []string{"os_type", "os_distro"}
	case "hw_machine_type":
		return []string{"architecture", "hw_firmware_type"}
	}
	return nil
}
