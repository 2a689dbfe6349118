package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/internal/errcode"
	"ingest/internal/metadef"
	"ingest/metadata"
)

// Bounds of what is read from a folder of definitions. The largest of OpenStack's files
// has 40 KiB, and there are 33 of them.
const (
	maxMetadefFile  = 4 << 20 // bytes
	maxMetadefFiles = 10_000
)

// metadefOwner owns the namespaces of files that name no owner, as in Glance.
const metadefOwner = "admin"

// A loadedFile says what became of one file.
type loadedFile struct {
	File      string `json:"file"`
	Namespace string `json:"namespace,omitempty"`
	Outcome   string `json:"outcome"`
	Error     string `json:"error,omitempty"`
}

func newDBLoadMetadefsCommand(g *globals) *cobra.Command {
	merge, prefer, replace := false, false, false
	cmd := &cobra.Command{
		Use:   "load-metadefs FILE|FOLDER",
		Short: "Load metadata definitions, such as OpenStack's standard ones",
		Long: `Load metadata definitions from a JSON file, or from all files of a folder whose names end
in .json: the files that come with Glance, or those that export-metadefs has written. Each
holds one namespace and is loaded whole or not at all. Safe while servers work.

A namespace that is there already is left as it is. With --merge it gets what it lacks;
with --merge --prefer-new what it has is replaced by what the file says, and what the file
does not mention stays; with --replace it is removed first. The exit code is 1 if a file
could not be loaded; the others are.`,
		Example: "  ingest db load-metadefs /etc/glance/metadefs\n  ingest db load-metadefs our-flavours.json --replace",
		Args:    cli.Args(cobra.ExactArgs(1)),
	}
	c := dbFlags(cmd)
	cmd.Flags().BoolVar(&merge, "merge", false, "add to namespaces what they lack")
	cmd.Flags().BoolVar(&prefer, "prefer-new", false, "with --merge, replace what they have")
	cmd.Flags().BoolVar(&replace, "replace", false, "remove namespaces that are there, and load them anew")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		mode, err := loadMode(merge, prefer, replace)
		if err != nil {
			return cli.Usage(cmd, "%v", err)
		}
		files, err := metadefFiles(args[0])
		if err != nil {
			return cli.Usage(cmd, "%v", err)
		}
		if err := located(cmd, c); err != nil {
			return err
		}
		ctx, stop := interruptible(cmd)
		defer stop()
		repo, err := openCatalogue(ctx, c)
		if err != nil {
			return reported(cmd, g, err)
		}
		defer repo.Close()
		cat, failed := metadata.New(repo), false
		var out []loadedFile
		for _, file := range files {
			done, err := loadMetadefs(cmd, cat, file, mode)
			if errcode.Of(err) == errcode.CatalogueBusy || ctx.Err() != nil {
				return errors.Join(ctx.Err(), err)
			}
			failed = failed || err != nil
			out = append(out, done)
		}
		if err := printLoaded(cmd.OutOrStdout(), g, out); err != nil {
			return err
		}
		if failed {
			return cli.ErrReported
		}
		return nil
	}
	return cmd
}

func loadMode(merge, prefer, replace bool) (metadata.LoadMode, error) {
	switch {
	case replace && (merge || prefer):
		return "", errors.New("--replace goes with neither --merge nor --prefer-new")
	case prefer && !merge:
		return "", errors.New("--prefer-new goes with --merge")
	case replace:
		return metadata.LoadReplace, nil
	case prefer:
		return metadata.LoadPrefer, nil
	case merge:
		return metadata.LoadMerge, nil
	}
	return metadata.LoadSkip, nil
}

// metadefFiles lists the files that a path means, by name.
func metadefFiles(path string) ([]string, error) {
	st, err := os.Stat(path)
	if err != nil || !st.IsDir() {
		return []string{path}, err
	}
	files, err := filepath.Glob(filepath.Join(escaped(path), "*.json"))
	if err != nil {
		return nil, err
	}
	switch {
	case len(files) == 0:
		return nil, fmt.Errorf("there is no .json file in %s", path)
	case len(files) > maxMetadefFiles:
		return nil, fmt.Errorf("there are %d files in %s, at most %d are loaded at once", len(files), path, maxMetadefFiles)
	}
	return files, nil
}

// escaped is a path as a pattern that means nothing else.
func escaped(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// loadMetadefs loads one file. The error is in what it returns, too.
func loadMetadefs(cmd *cobra.Command, cat *metadata.Catalogue, file string, mode metadata.LoadMode) (loadedFile, error) {
	out := loadedFile{File: file}
	w, err := readMetadefs(file)
	if err == nil {
		out.Namespace = w.Name
		out.Outcome, err = cat.LoadNamespace(cmd.Context(), w, mode)
	}
	if err != nil {
		out.Outcome, out.Error = "failed", err.Error()
	}
	return out, err
}

func readMetadefs(file string) (metadata.WholeNamespace, error) {
	f, err := os.Open(file)
	if err != nil {
		return metadata.WholeNamespace{}, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxMetadefFile+1))
	if err != nil {
		return metadata.WholeNamespace{}, err
	}
	if len(raw) > maxMetadefFile {
		return metadata.WholeNamespace{}, errcode.New(errcode.BadRequest, "the file has more than %d bytes", maxMetadefFile)
	}
	w, err := metadef.ParseNamespace(raw)
	if w.Owner == "" {
		w.Owner = metadefOwner
	}
	return w, err
}

func printLoaded(out io.Writer, g *globals, list []loadedFile) error {
	if g.json {
		return cli.PrintJSON(out, list)
	}
	for _, f := range list {
		line := fmt.Sprintf("%-10s%s  %s", f.Outcome, f.File, f.Namespace)
		if f.Error != "" {
			line = fmt.Sprintf("%-10s%s: %s", f.Outcome, f.File, f.Error)
		}
		if _, err := fmt.Fprintln(out, cli.Clean(line)); err != nil {
			return err
		}
	}
	return nil
}

func newDBExportMetadefsCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export-metadefs FOLDER",
		Short: "Write all metadata definitions into files",
		Long: `Write all metadata definitions into files of a folder, one a namespace, in the shape that
load-metadefs and Glance read. Files that are there already are replaced if they have the
name of a namespace. Changes nothing in the catalogue.`,
		Example: "  ingest db export-metadefs /var/backups/metadefs",
		Args:    cli.Args(cobra.ExactArgs(1)),
	}
	c := dbFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := located(cmd, c); err != nil {
			return err
		}
		ctx, stop := interruptible(cmd)
		defer stop()
		repo, err := openCatalogue(ctx, c)
		if err != nil {
			return reported(cmd, g, err)
		}
		defer repo.Close()
		files, err := exportMetadefs(cmd, metadata.New(repo), args[0])
		if err != nil {
			return err
		}
		if g.json {
			return cli.PrintJSON(cmd.OutOrStdout(), map[string]any{"files": files})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d namespaces written to %s\n", len(files), cli.Clean(args[0]))
		return err
	}
	return cmd
}

func exportMetadefs(cmd *cobra.Command, cat *metadata.Catalogue, folder string) ([]string, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	list, err := cat.Namespaces(cmd.Context(), metadata.NamespaceFilter{SortKey: "namespace", Ascending: true})
	if err != nil {
		return nil, err
	}
	files := []string{}
	for _, ns := range list {
		w, err := cat.WholeNamespace(cmd.Context(), ns.ID)
		if errcode.Of(err) == errcode.NotFound {
			continue // it went meanwhile
		}
		if err != nil {
			return files, err
		}
		out, err := metadef.Exported(w)
		if err != nil {
			return files, err
		}
		raw, err := json.MarshalIndent(out, "", "    ")
		if err != nil {
			return files, err
		}
		name := freeName(files, metadefFileName(ns.Name))
		if err := os.WriteFile(filepath.Join(folder, name), append(raw, '\n'), 0o644); err != nil {
			return files, err
		}
		files = append(files, name)
	}
	return files, nil
}

// metadefFileName is a namespace's name as that of a file: what is neither a letter of
// ASCII, a digit nor one of -_. becomes a hyphen.
func metadefFileName(namespace string) string {
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r)) {
			return r
		}
		return '-'
	}, strings.ReplaceAll(namespace, "::", "-"))
	if name = strings.TrimLeft(name, "."); name == "" { // no hidden file
		name = "namespace"
	}
	return name
}

// freeName returns the name of a file that was not written yet.
func freeName(files []string, name string) string {
	out := name + ".json"
	for i := 2; slices.ContainsFunc(files, func(f string) bool { return strings.EqualFold(f, out) }); i++ {
		out = fmt.Sprintf("%s-%d.json", name, i)
	}
	return out
}
