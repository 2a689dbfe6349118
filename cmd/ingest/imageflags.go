package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/client"
)

// imageFields are the flags that stand for members of an image.
type imageFields struct {
	name, diskFormat, container, visibility, owner string
	minDisk, minRAM                                int64
	protected, hidden                              bool
	properties, tags                               []string
}

func (f *imageFields) declare(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.diskFormat, "disk-format", "", "format of the bytes: raw, qcow2, vmdk, vhd, vhdx, vdi, iso …")
	fl.StringVar(&f.container, "container-format", "", "what is around the disk: bare, ova, docker, compressed …")
	fl.StringVar(&f.visibility, "visibility", "", "private, shared, community or public")
	fl.StringVar(&f.owner, "owner", "", "id of the project that the image belongs to, which administrators may set")
	fl.Int64Var(&f.minDisk, "min-disk", 0, "GiB of disk that a machine needs")
	fl.Int64Var(&f.minRAM, "min-ram", 0, "MiB of memory that a machine needs")
	fl.BoolVar(&f.protected, "protected", false, "refuse to delete the image; --protected=false allows it")
	fl.BoolVar(&f.hidden, "hidden", false, "leave the image out of lists; --hidden=false shows it")
	fl.StringArrayVar(&f.properties, "property", nil, "property of the image, KEY=VALUE; may be repeated")
	fl.StringArrayVar(&f.tags, "tag", nil, "tag of the image; may be repeated")
	cmd.RegisterFlagCompletionFunc("visibility", cobra.FixedCompletions([]string{"private", "shared", "community", "public"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RegisterFlagCompletionFunc("disk-format", cobra.FixedCompletions([]string{"raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso", "ploop", "ami", "aki", "ari"}, cobra.ShellCompDirectiveNoFileComp))
}

// props are the properties that were given.
func (f *imageFields) props(cmd *cobra.Command) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range f.properties {
		k, v, ok := strings.Cut(p, "=")
		switch {
		case !ok || k == "":
			return nil, cli.Usage(cmd, "--property %q is not of the form KEY=VALUE", p)
		case wire.IsCore(k):
			return nil, cli.Usage(cmd, "%s is a member of every image and no property: see the flags", k)
		}
		out[k] = v
	}
	return out, nil
}

// given are the members of the flags that were given.
func (f *imageFields) given(cmd *cobra.Command) map[string]any {
	out := map[string]any{}
	for flag, v := range map[string]struct {
		member string
		value  any
	}{
		"name": {"name", f.name}, "disk-format": {"disk_format", f.diskFormat}, "container-format": {"container_format", f.container},
		"visibility": {"visibility", f.visibility}, "owner": {"owner", f.owner}, "min-disk": {"min_disk", f.minDisk}, "min-ram": {"min_ram", f.minRAM},
		"protected": {"protected", f.protected}, "hidden": {"os_hidden", f.hidden},
	} {
		if cmd.Flags().Changed(flag) {
			out[v.member] = v.value
		}
	}
	return out
}

// record is the body that makes an image.
func (f *imageFields) record(cmd *cobra.Command) (map[string]any, error) {
	out := f.given(cmd)
	props, err := f.props(cmd)
	if err != nil {
		return nil, err
	}
	for k, v := range props {
		out[k] = v
	}
	if len(f.tags) > 0 {
		out["tags"] = f.tags
	}
	return out, nil
}

// changes are what makes an image as the flags say. Tags are added on their own.
func (f *imageFields) changes(cmd *cobra.Command) ([]client.Change, error) {
	props, err := f.props(cmd)
	if err != nil {
		return nil, err
	}
	given := f.given(cmd)
	var out []client.Change
	for _, k := range slices.Sorted(maps.Keys(given)) {
		out = append(out, client.Change{Op: "replace", Path: "/" + k, Value: given[k]})
	}
	for _, k := range slices.Sorted(maps.Keys(props)) {
		out = append(out, client.Change{Op: "add", Path: pointer(k), Value: props[k]}) // replaces one that is there
	}
	return out, nil
}

// pointer is a property's place as a JSON pointer.
func pointer(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
