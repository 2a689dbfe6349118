package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/internal/contract"
)

// scheduleFlags are the flags of `ingest schedule create`.
type scheduleFlags struct {
	image                           importFlags
	cron                            []string
	every, offset, jitter, catchup  time.Duration
	zone, overlap                   string
	trust, check, order, old, title string
	keep                            int
}

func newScheduleCreateCommand(g *globals) *cobra.Command {
	var f scheduleFlags
	cmd := &cobra.Command{
		Use:   "create NAME SOURCE",
		Short: "Make a schedule that imports a source whenever it has changed",
		Long: `Make a schedule that imports a source whenever it has changed, and lets a name point at
the newest version.

Each run looks which version SOURCE has: by its entry in a checksum file, the object's
version, the ETag, or the date of the last change, whichever is the best that there is,
or the one that --check names. If it is the version that is there already, the run ends,
and has not read a byte of the image. Otherwise it is imported and verified under a new
image id, and switched to in one step: the new image is shown under its name, the old one
is hidden. If anything is wrong with the new version, the old one stays as it is.

The last element of SOURCE may be a pattern in which * stands for any characters: the
newest file that fits is meant, by the numbers in the names, or by their dates
(--order last_modified).

By what the bytes are known to be the publisher's must be chosen: --trust digest (by a
checksum file, as --checksum-file auto), --trust signature (by a signature, as
--signature auto), or --trust none.`,
		Example: `  # every night, if SHA256SUMS has another digest
  ingest schedule create ubuntu-24.04 https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img --cron '30 4 * * *' --zone Europe/Berlin --trust digest

  # the newest of dated files, if it is signed; the last three stay
  ingest schedule create debian-12 'https://images.example.org/debian-12-*.qcow2' --every 24h --jitter 30m --trust signature --keyring debian --keep 3

  # an object in a bucket, under another image name, with properties
  ingest schedule create golden s3://images/golden.raw --credential lab --every 1h --trust none --image-name golden-linux --property os_distro=debian`,
		Args: cli.Args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := f.spec(cmd, args[0], args[1])
			if err != nil {
				return err
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			s, err := c.AddSchedule(cmd.Context(), spec)
			if err != nil {
				return err
			}
			if s.Notice != "" {
				g.notice(cmd, "%s", s.Notice)
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), s)
			}
			return cli.Fields(cmd.OutOrStdout(), "schedule", s.ID, "name", s.Name, "runs", timingOf(s.Spec.Timing), "trusted by", s.Spec.Trust)
		},
	}
	f.declare(cmd, g)
	return cmd
}

func (f *scheduleFlags) declare(cmd *cobra.Command, g *globals) {
	fl, im := cmd.Flags(), &f.image
	fl.StringArrayVar(&f.cron, "cron", nil, "when to run: minute, hour, day of the month, month, day of the week, or @daily and the like; repeatable")
	fl.DurationVar(&f.every, "every", 0, "run at this interval, such as 6h")
	fl.DurationVar(&f.offset, "offset", 0, "begin the intervals so much later")
	fl.StringVar(&f.zone, "zone", "", "time zone of --cron, such as Europe/Berlin (default UTC)")
	fl.DurationVar(&f.jitter, "jitter", 0, "delay each run by a time of its own, up to this")
	fl.StringVar(&f.overlap, "overlap", "", "when a run is due while another is under way: skip, buffer_one, buffer_all, cancel_other (default skip)")
	fl.DurationVar(&f.catchup, "catchup", contract.DefaultCatchup, "how late a run may begin that was due while no server ran")
	fl.StringVar(&f.trust, "trust", "", "by what the bytes are known to be the publisher's: digest, signature or none; must be chosen")
	fl.StringVar(&f.check, "check", "", "by what a new version is told: auto, checksum_file, version, etag, last_modified (default auto)")
	fl.StringVar(&f.order, "order", "", "which file that fits the pattern is the newest: version, last_modified (default version)")
	fl.StringVar(&f.old, "old", "", "what becomes of the image that was current: hide, deactivate (default hide)")
	fl.IntVar(&f.keep, "keep", contract.DefaultKeep, "how many versions to keep behind the current one")
	fl.StringVar(&im.name, "image-name", "", "name of the images (default: the schedule's)")
	fl.StringVar(&im.from, "from", "", "format of the source; anything else is refused (default: detect)")
	im.target.declare(cmd, "format or preset to store (default: raw stays raw, all else becomes the server's output format)")
	fl.StringVar(&im.checksumFile, "checksum-file", "", "`SOURCE` of a list of digests, such as SHA256SUMS, or auto for one beside the image")
	fl.StringVar(&im.signature, "signature", "", "`SOURCE` of a detached OpenPGP signature, or auto for one beside what it signs")
	fl.StringVar(&im.keyring, "keyring", "", "name of the server's keyring that the signature's key must be in (default: any of them)")
	fl.StringVar(&im.verify, "verify", "", "what to prove before an image is active: full, stored or none (default: the server's)")
	fl.StringArrayVar(&im.properties, "property", nil, "property of the images, KEY=VALUE; may be repeated")
	fl.StringArrayVar(&im.tags, "tag", nil, "tag of the images; may be repeated")
	fl.StringVar(&im.visibility, "visibility", "", "private, shared, community or public (default shared)")
	fl.BoolVar(&im.protected, "protected", false, "refuse to delete the images; they are never removed by --keep")
	fl.StringVar(&im.credential, "credential", "", "name of a credential of the server for the source")
	im.stores.declare(fl, "store to put the images into (default: the server's); repeat for several", "put the images into every store")
	cmd.RegisterFlagCompletionFunc("keyring", g.completeKeyring)
	for name, all := range map[string][]string{
		"trust": {contract.TrustDigest, contract.TrustSignature, contract.TrustNone}, "old": {contract.OldHide, contract.OldDeactivate},
		"check":   {contract.CheckAuto, contract.CheckChecksumFile, contract.CheckVersion, contract.CheckETag, contract.CheckLastModified},
		"order":   {contract.OrderVersion, contract.OrderLastModified},
		"overlap": {contract.OverlapSkip, contract.OverlapBufferOne, contract.OverlapBufferAll, contract.OverlapCancelOther},
	} {
		cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(all, cobra.ShellCompDirectiveNoFileComp))
	}
}

func (f *scheduleFlags) spec(cmd *cobra.Command, name, source string) (contract.ScheduleSpec, error) {
	var spec contract.ScheduleSpec
	if f.trust == "" {
		return spec, cli.Usage(cmd, "--trust must be chosen: digest, signature or none")
	}
	if len(f.cron) == 0 && f.every == 0 {
		return spec, cli.Usage(cmd, "when to run is missing: give --cron or --every")
	}
	for flag, d := range map[string]time.Duration{"every": f.every, "offset": f.offset, "jitter": f.jitter, "catchup": f.catchup} {
		if d%time.Second != 0 {
			return spec, cli.Usage(cmd, "--%s %v is not whole seconds", flag, d)
		}
	}
	if f.image.name == "" {
		f.image.name = name
	}
	req, err := f.image.request(cmd, source)
	if err != nil {
		return spec, err
	}
	req.TaskID = ""
	return contract.ScheduleSpec{
		Name: name, Import: req, Trust: f.trust, Check: f.check, Order: f.order, Old: f.old, Keep: &f.keep,
		Timing: contract.Timing{
			Cron: f.cron, EverySeconds: seconds(f.every), OffsetSeconds: seconds(f.offset), TimeZone: f.zone,
			JitterSeconds: seconds(f.jitter), Overlap: f.overlap, CatchupSeconds: seconds(f.catchup),
		},
	}, nil
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// timingOf says in a few words when a schedule runs.
func timingOf(t contract.Timing) string {
	out := strings.Join(t.Cron, "; ")
	if t.EverySeconds > 0 {
		out = "every " + (time.Duration(t.EverySeconds) * time.Second).String()
	} else if t.TimeZone != "" {
		out += " " + t.TimeZone
	}
	if t.JitterSeconds > 0 {
		out += fmt.Sprintf(", up to %v later", time.Duration(t.JitterSeconds)*time.Second)
	}
	return out
}
