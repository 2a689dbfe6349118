package main

import (
	"strings"

	"github.com/spf13/cobra"

	"ingest/formats/writers"
	"ingest/internal/cli"
	"ingest/pipeline"
	"ingest/stores"
	"ingest/stores/fs"
)

// newConvertCommand returns `ingest convert`.
func newConvertCommand(g *globals) *cobra.Command {
	var l local
	var target targetFlags
	var proof proofFlags
	var verify, force, dryRun bool
	cmd := &cobra.Command{
		Use:   "convert [SRC DST]",
		Short: "Convert an image into another format, without a server",
		Long: `Convert an image into another format, without a server.

Without arguments it lists the formats that can be written, what each takes, and the
presets: the format and options that a cloud or a hypervisor wants.

DST appears whole or not at all. Without --to, its extension says the format.

If the disk is spread over several files, SRC is its descriptor or youngest child, and
--member gives each of the others: the extent files of a VMDK descriptor, or all
parents of a differencing disk.

An OVA takes several disks: all but the last argument, in their order.

With --checksum, --checksum-file or --signature, nothing is made of SRC before its
bytes are proved to be the publisher's; all that are given must hold. What comes from
another machine is copied into $TMPDIR for that.
` + packedHelp,
		Example: `  ingest convert
  ingest convert disk.vmdk disk.qcow2
  ingest convert disk.vhd disk.img --to raw --verify
  ingest convert https://example.org/disk.vmdk disk.qcow2 --dry-run
  ingest convert debian.qcow2 debian.vhd --checksum-file SHA512SUMS --signature SHA512SUMS.sign --keyring debian-role-keys.gpg
  ingest convert disk.qcow2 disk.vhd --to azure
  ingest convert disk.qcow2 disk.vmdk --option subformat=monolithicSparse
  ingest convert boot.qcow2 data.qcow2 machine.ova --option firmware=efi
  ingest convert disk.vmdk disk.qcow2 --member disk-s001.vmdk --member disk-s002.vmdk
  ingest convert child.vhd disk.qcow2 --member parent.vhd
  ingest convert disk.img.xz disk.qcow2
  ingest convert machine.ova data.qcow2 --disk 2
  ingest convert https://example.org/disk.vmdk disk.qcow2 --compression zstd`,
		Args: cli.Args(atLeastTwo),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return printTargets(g, cmd.OutOrStdout())
			}
			srcs, dst := args[:len(args)-1], args[len(args)-1]
			if target.to == "" {
				w, ok := writers.ByExtension(dst)
				if !ok {
					return cli.Usage(cmd, "say with --to which format %s shall have: %s", dst, strings.Join(writers.Known(), ", "))
				}
				target.to = w.Name
			}
			t, err := target.spec(cmd)
			if err != nil {
				return err
			}
			p, err := l.pipeline(cmd)
			if err != nil {
				return err
			}
			c := pipeline.ConvertRequest{Format: l.from, Target: t, Verify: verify, Disk: l.disk}
			if c.Proofs, err = proof.proofs(cmd, p); err != nil {
				return err
			}
			for _, src := range srcs {
				url, err := sourceURL(src)
				if err != nil {
					return err
				}
				c.URLs = append(c.URLs, url)
			}
			if c.Members, err = membersOf(l.members); err != nil {
				return err
			}
			if dryRun {
				return planLocal(cmd, g, p, c, dst)
			}
			d := g.display(cmd)
			defer d.Close()
			ctx, stop := interruptible(cmd)
			defer stop()
			c.Begin = func() (stores.Upload, error) { return fs.BeginFile(dst, force) }
			out, err := p.ConvertTo(ctx, c, d.Stage, observe(d))
			if err != nil {
				return err
			}
			d.Done("")
			return printConversion(g, cmd, dst, out)
		},
	}
	l.flags(cmd)
	l.memberFlag(cmd, "SRC")
	l.diskFlag(cmd, "default: all of them, which only an OVA takes")
	target.declare(cmd, "format or preset to write: "+strings.Join(writers.Known(), ", "))
	proof.declare(cmd)
	f := cmd.Flags()
	f.BoolVar(&verify, "verify", false, "read DST back and compare its content with the source's")
	f.BoolVar(&force, "force", false, "replace DST if it exists")
	f.BoolVar(&dryRun, "dry-run", false, "say what the conversion would do, from a few reads of SRC, and do not do it")
	return cmd
}

// atLeastTwo takes no arguments, or a source and a destination.
func atLeastTwo(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return cobra.MinimumNArgs(2)(cmd, args)
	}
	return nil
}

func printConversion(g *globals, cmd *cobra.Command, dst string, c pipeline.Conversion) error {
	w := cmd.OutOrStdout()
	if g.json {
		return cli.PrintJSON(w, c)
	}
	verified := ""
	if c.Verified {
		verified = "read back and equal"
	}
	further := ""
	for _, f := range c.Further {
		further = strings.TrimSpace(further + " " + f.ContentDigest)
	}
	var proved []string
	for _, v := range c.Proofs {
		text := strings.ReplaceAll(v.Kind, "_", " ")
		if v.Fingerprint != "" {
			text += " by " + v.Fingerprint
		}
		proved = append(proved, text)
	}
	return cli.Fields(w,
		"file", dst,
		"source proved by", strings.Join(proved, ", "),
		"format", c.Target.Format,
		"options", optionsText(c.Target.Options),
		"virtual size", sizeField(&c.VirtualSize),
		"file size", sizeField(&c.FileSize),
		"content digest", c.ContentDigest,
		"further disks", further,
		"verified", verified,
		"sha256", c.HashValue,
	)
}
