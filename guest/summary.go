package guest

import (
	"fmt"
	"strings"

	"ingest/guest/partition"
	"ingest/guest/tree"
)

// maxNamed is how many contents of volumes a summary names.
const maxNamed = 4

// Summary says in one line what a disk is: its system with architecture and firmware,
// or what lies on it if no system is known.
func (f Facts) Summary() string {
	words := []string{f.System.Name}
	if f.System.Name == "" {
		words[0] = f.contents()
		if f.System.Type == "linux" {
			words[0] = "Linux, " + words[0]
		}
	}
	if f.System.Architecture != "" {
		words = append(words, f.System.Architecture)
	}
	if f.Boot.Certain {
		switch f.Boot.Mode {
		case BIOS:
			words = append(words, "BIOS")
		case UEFI:
			words = append(words, "UEFI")
		case Both:
			words = append(words, "BIOS and UEFI")
		}
	}
	return tree.Text(strings.Join(words, ", "))
}

// contents names the partition table and what is in its partitions.
func (f Facts) contents() string {
	var kinds []string
	for _, v := range f.Volumes {
		if v.Kind != "" {
			kinds = append(kinds, v.Kind)
		}
	}
	what := "nothing known"
	if more := len(kinds) - maxNamed; more > 0 {
		kinds = append(kinds[:maxNamed], fmt.Sprintf("%d more", more))
	}
	if len(kinds) > 0 {
		what = strings.Join(kinds, ", ")
	}
	switch f.Table.Scheme {
	case partition.GPT:
		return "GPT with " + what
	case partition.MBR:
		return "MBR with " + what
	}
	return what
}
