package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/bandwidth"
	"ingest/internal/cli"
	"ingest/internal/client"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/sources"
	glancesource "ingest/sources/glance"
)

// importFlags are the flags of `ingest import`.
type importFlags struct {
	target                             targetFlags
	bandwidth                          bandwidth.Rate
	name, from, checksum, verify       string
	checksumFile, signature, keyring   string
	visibility, key, credential        string
	properties, tags, members, mirrors []string
	noWait, protected, dryRun          bool
	stores                             storesFlags
}

func newImportCommand(g *globals) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import SOURCE",
		Short: "Import a disk image and follow it until it is active",
		Long: `Import a disk image and follow it until it is active.

SOURCE is an http, https or s3 URL, an image of another OpenStack cloud with what that
cloud says of it (glance://HOST/IMAGE, or glance:///IMAGE with --credential), or a path.
A path is read by the server, on its machine and below its file roots
(ingest serve --file-roots DIR).

If the disk is spread over several files, SOURCE is its descriptor or youngest child,
and --member gives each of the others, a URL or path as SOURCE is: the extent files of
a VMDK descriptor, or all parents of a differencing disk.

SOURCE may be compressed with gzip, xz, zstd, bzip2 or zip; --checksum is then that of
the compressed bytes. It may be an OVA, a tar file or a tar.gz of Compute Engine.
A source that holds several disks, such as an OVA, becomes several images of one task:
the first has the name, the others NAME-disk2, NAME-disk3 and so on.

With --dry-run, nothing is imported: the server reads a little of the source, and
says what it is, whether it would be accepted, what would be stored, and how much
room and time that takes. An import that would be refused ends the command with the
code and the remedy that the import itself would give.

Ctrl-C stops watching, not the import. The same --idempotency-key is one import,
however often the command is repeated.`,
		Example: `  # what comes out is of the server's output format
  ingest import https://example.org/debian.vmdk --name debian

  # a file of the server, to a compressed qcow2, checked against a digest
  ingest import ./disk.vhd --name web --to qcow2 --compression zstd --checksum sha256:9f86d081...

  # checked against the publisher's list, and that against a key of the server's keyring
  ingest import https://example.org/debian.qcow2 --checksum-file auto --signature auto --keyring debian

  # as Azure wants it, or with settings of your own: ingest convert lists them
  ingest import https://example.org/web.qcow2 --to azure
  ingest import https://example.org/web.qcow2 --to vhdx --option block_size=32M

  # a disk of several files
  ingest import https://example.org/web.vmdk --member https://example.org/web-s001.vmdk --member https://example.org/web-s002.vmdk

  # from several mirrors at once
  ingest import https://example.org/web.qcow2 --mirror https://example.net/web.qcow2 --mirror https://example.com/web.qcow2

  # what would happen, without doing it
  ingest import https://example.org/debian.qcow2 --to azure --dry-run

  # into two stores; the import succeeds also if one of them fails
  ingest import https://example.org/a.qcow2 --store fast --store archive --allow-failed-stores

  # no faster than 20 MiB a second
  ingest import https://example.org/a.qcow2 --bandwidth 20MiB

  # submit only, with properties, in a script
  ingest import https://example.org/a.qcow2 --property os_distro=debian --tag base --no-wait --json`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return runImport(cmd, g, &f, args[0]) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.name, "name", "", "name of the image (default: the source's file name, or what a glance source is called)")
	fl.StringVar(&f.from, "from", "", "format of the source; an import of anything else is refused (default: detect)")
	f.target.declare(cmd, "format or preset to store (default: raw stays raw, all else becomes the server's output format)")
	fl.StringVar(&f.checksum, "checksum", "", "digest of the source's bytes, sha256:HEX or sha512:HEX, or md5:HEX if the server admits it")
	fl.StringVar(&f.checksumFile, "checksum-file", "", "`SOURCE` of a list of digests that the image must stand in, such as SHA256SUMS, or auto for one beside the image")
	fl.StringVar(&f.signature, "signature", "", "`SOURCE` of a detached OpenPGP signature, or auto for one beside what it signs: the checksum file if there is one, else the image")
	fl.StringVar(&f.keyring, "keyring", "", "name of the server's keyring that the signature's key must be in (default: any of them)")
	fl.StringArrayVar(&f.members, "member", nil, "another `SOURCE` of the image (extent file, parent disk); repeat for each")
	fl.StringArrayVar(&f.mirrors, "mirror", nil, "another `URL` of the same file, read beside the first and instead of it when it fails; repeat for each")
	fl.StringVar(&f.verify, "verify", "", "what to prove before the image is active: full, stored or none, as the server allows (default: the server's)")
	fl.Var(&f.bandwidth, "bandwidth", "read at most so many bytes a second from the source, such as 20MiB (0: no limit)")
	fl.StringArrayVar(&f.properties, "property", nil, "property of the image, KEY=VALUE; may be repeated")
	fl.StringArrayVar(&f.tags, "tag", nil, "tag of the image; may be repeated")
	fl.StringVar(&f.visibility, "visibility", "", "private, shared, community or public (default shared)")
	fl.BoolVar(&f.protected, "protected", false, "refuse to delete the image")
	f.stores.declare(fl, "store to put the image into (default: the server's); repeat for several: the first is written, the others get copies", "put the image into every store")
	fl.StringVar(&f.credential, "credential", "", "name of a credential of the server for the source")
	fl.StringVar(&f.key, "idempotency-key", "", "key that makes repeated submissions one import")
	fl.BoolVar(&f.noWait, "no-wait", false, "submit and do not follow")
	fl.BoolVar(&f.dryRun, "dry-run", false, "say what the import would do, from a few reads of the source, and do not do it")
	cmd.RegisterFlagCompletionFunc("keyring", g.completeKeyring)
	return cmd
}

func runImport(cmd *cobra.Command, g *globals, f *importFlags, source string) error {
	req, err := f.request(cmd, source)
	if err != nil {
		return err
	}
	if f.dryRun {
		return runPlan(cmd, g, req)
	}
	c, err := g.client()
	if err != nil {
		return err
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	sub, err := c.Import(ctx, req)
	if err != nil {
		return err
	}
	if sub.Existed {
		g.notice(cmd, "task %s had been accepted before", sub.TaskID)
	}
	if sub.Notice != "" {
		g.notice(cmd, "task %s: %s", sub.TaskID, sub.Notice)
	}
	if f.noWait {
		return printSubmitted(cmd, g, sub)
	}
	g.notice(cmd, "task %s, image %s", sub.TaskID, sub.ImageID)
	task, err := follow(ctx, cmd, g, c, sub.TaskID)
	if err != nil {
		return err
	}
	return printOutcome(cmd, g, c, task)
}

// request makes an import request of the command line.
func (f *importFlags) request(cmd *cobra.Command, source string) (contract.ImportRequest, error) {
	var req contract.ImportRequest
	if source == "" {
		return req, cli.Usage(cmd, "SOURCE is empty")
	}
	url, err := serverSource(source)
	if err != nil {
		return req, err
	}
	members, err := f.memberSpecs(cmd)
	if err != nil {
		return req, err
	}
	for _, beside := range []*string{&f.checksumFile, &f.signature} {
		if *beside != "" && *beside != "auto" {
			if *beside, err = serverSource(*beside); err != nil {
				return req, err
			}
		}
	}
	props := map[string]string{}
	for _, p := range f.properties {
		k, v, ok := strings.Cut(p, "=")
		if !ok || k == "" {
			return req, cli.Usage(cmd, "--property %q is not of the form KEY=VALUE", p)
		}
		props[k] = v
	}
	target, err := f.target.spec(cmd)
	if err != nil {
		return req, err
	}
	stores, err := f.stores.spec(cmd)
	if err != nil {
		return req, err
	}
	if !stores.Several() && len(stores.Stores) == 1 {
		target.Store, stores = stores.Stores[0], contract.StoresSpec{}
	}
	name := f.name
	if scheme, _ := sources.Scheme(url); name == "" && scheme != glancesource.Name {
		name = nameOf(url)
	}
	req = contract.ImportRequest{
		IdempotencyKey: f.key,
		Source: contract.SourceSpec{URL: url, Format: f.from, Checksum: f.checksum, Credential: f.credential, Members: members, Mirrors: f.mirrors,
			ChecksumFile: f.checksumFile, Signature: f.signature, Keyring: f.keyring},
		Target: target,
		Image: contract.ImageSpec{
			Name: name, Visibility: f.visibility, Tags: f.tags, Properties: props, Protected: f.protected,
		},
		Verify:     f.verify,
		Bandwidth:  f.bandwidth,
		StoresSpec: stores,
	}
	if f.key == "" {
		// An id of our own makes a submission whose answer got lost the same
		// one when it is sent again.
		req.TaskID = uuid.NewString()
	}
	return req, nil
}

// serverSource makes a path absolute; the server follows its links.
func serverSource(source string) (string, error) {
	if strings.Contains(source, "://") {
		return source, nil
	}
	abs, err := filepath.Abs(source)
	if err != nil {
		return "", errcode.Wrap(err, errcode.SourceURLInvalid, "find the absolute path of %s", source)
	}
	return abs, nil
}

// memberSpecs returns the files of --member flags.
func (f *importFlags) memberSpecs(cmd *cobra.Command) ([]contract.MemberSpec, error) {
	var out []contract.MemberSpec
	for _, source := range f.members {
		if source == "" {
			return nil, cli.Usage(cmd, "--member is empty")
		}
		url, err := serverSource(source)
		if err != nil {
			return nil, err
		}
		m := contract.MemberSpec{URL: url}
		if m.FileName() == "" {
			return nil, cli.Usage(cmd, "--member %q has no file name at its end, by which the image would know it", source)
		}
		out = append(out, m)
	}
	return out, nil
}

// nameOf is the file name of a source without query.
func nameOf(url string) string {
	if strings.Contains(url, "://") {
		url, _, _ = strings.Cut(url, "#")
		url, _, _ = strings.Cut(url, "?")
		_, url, _ = strings.Cut(url, "://")
		if !strings.Contains(url, "/") {
			return ""
		}
	}
	return url[strings.LastIndexByte(url, '/')+1:]
}

func printSubmitted(cmd *cobra.Command, g *globals, sub wire.Submitted) error {
	if g.json {
		return cli.PrintJSON(cmd.OutOrStdout(), sub)
	}
	return cli.Fields(cmd.OutOrStdout(), "task", sub.TaskID, "image", sub.ImageID, "status", sub.Status)
}

// printOutcome prints the images of a task that has succeeded, or why the task
// has failed. As JSON one image stands alone, several are a list as that of
// ingest image list.
func printOutcome(cmd *cobra.Command, g *globals, c *client.Client, task wire.Task) error {
	if task.Status != "success" {
		d := wire.ErrorDetail{Code: errcode.Internal, Message: task.Message, Stage: task.Stage}
		if task.Error != nil {
			d = *task.Error
		}
		cli.PrintDetail(cmd.ErrOrStderr(), d, g.json)
		return cli.ErrReported
	}
	ids := []string{task.ImageID}
	if r := task.Result; r != nil && len(r.Images) > 1 {
		ids = ids[:0]
		for _, img := range r.Images {
			ids = append(ids, img.ImageID)
		}
	}
	var images []wire.Image
	for _, id := range ids {
		img, err := c.Image(cmd.Context(), id)
		if err != nil {
			return err
		}
		images = append(images, img)
	}
	return printImages(cmd, g, images)
}

// printImages prints the images of one import, in the order of its disks.
func printImages(cmd *cobra.Command, g *globals, images []wire.Image) error {
	if g.json && len(images) > 1 {
		return cli.PrintJSON(cmd.OutOrStdout(), wire.ImageList{Images: images})
	}
	for i, img := range images {
		if i > 0 {
			fmt.Fprintln(cmd.OutOrStdout())
		}
		if err := printImage(cmd, g, img); err != nil {
			return err
		}
	}
	return nil
}
