package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A rule forbids imports to some packages. A pattern that ends in "/..."
// matches the package and everything below it.
type rule struct {
	who    []string
	not    []string
	except []string // packages of who that may all the same
	why    string
}

var rules = []rule{
	{
		who:    []string{"ingest/formats/...", "ingest/detect/...", "ingest/unwrap/...", "ingest/guest", "ingest/guest/partition", "ingest/guest/filesystem", "ingest/guest/tree"},
		not:    []string{"os", "os/exec", "net/...", "path/filepath", "syscall", "golang.org/x/sys/...", "database/sql", "github.com/uptrace/...", "go.temporal.io/...", "ingest/sources/...", "ingest/stores/...", "ingest/metadata/...", "ingest/api/...", "ingest/pipeline/..."},
		except: []string{"ingest/formats/formattest"},
		why:    "a parser of hostile bytes that cannot open a file cannot leak one",
	},
	{
		who:    []string{"ingest/..."},
		not:    []string{"github.com/lima-vm/go-qcow2reader/..."},
		except: []string{"ingest/formats/qcow2/library"},
		why:    "go-qcow2reader opens files that a header names; it stays in its own room, behind the guard",
	},
	{
		who:    []string{"ingest/..."},
		not:    []string{"github.com/diskfs/go-diskfs/..."},
		except: []string{"ingest/guest/listing"},
		why:    "go-diskfs crashes and loops on crafted file systems; one package links it, and it runs in a confined process",
	},
	{
		who:    []string{"ingest/..."},
		not:    []string{"ingest/guest/listing"},
		except: []string{"ingest/cmd/ingest", "ingest/guest/listing"},
		why:    "what reads file systems with go-diskfs is called by the child process only, which cmd/ingest starts",
	},
	{
		who: []string{"ingest/sources/..."},
		not: []string{"ingest/formats/...", "ingest/metadata/...", "ingest/stores/...", "ingest/api/...", "go.temporal.io/..."},
		why: "sources move bytes and know nothing of what they mean",
	},
	{
		who: []string{"ingest/stores/..."},
		not: []string{"ingest/formats/...", "ingest/metadata/...", "ingest/api/...", "go.temporal.io/..."},
		why: "stores move bytes and know nothing of what they mean",
	},
	{
		who:    []string{"ingest/stores/..."},
		not:    []string{"ingest/sources/..."},
		except: []string{"ingest/stores/http"},
		why:    "what is kept is not what is fetched; the store on web servers alone reads as sources do, through their interface",
	},
	{
		who: []string{"ingest/stores/http"},
		not: []string{"net/http", "ingest/sources/http/...", "ingest/sources/s3/...", "ingest/sources/file/..."},
		why: "the client of the sources guards what is reached: the store is given one",
	},
	{
		who: []string{"ingest/sources/file/...", "ingest/sources/http/..."},
		not: []string{"ingest/sources/s3/...", "ingest/sources/glance/..."},
		why: "drivers do not know each other",
	},
	{
		who: []string{"ingest/sources/glance/..."},
		not: []string{"ingest/sources/s3/...", "ingest/sources/file/..."},
		why: "the driver for Glance reads as that for web servers does, and knows no other",
	},
	{
		who: []string{"ingest/stores/fs/...", "ingest/stores/mem/..."},
		not: []string{"ingest/stores/s3/...", "github.com/aws/..."},
		why: "drivers do not know each other",
	},
	{
		who: []string{"ingest/internal/s3client"},
		not: []string{"ingest/sources/...", "ingest/stores/..."},
		why: "the source and the store driver share how a client is made, and nothing else",
	},
	{
		who:    []string{"ingest/internal/directio"},
		not:    []string{"ingest/..."},
		except: []string{},
		why:    "how bytes get to a disk is nobody's business but the kernel's",
	},
	{
		who: []string{"ingest/metadata/..."},
		not: []string{"ingest/api/...", "ingest/workflows/...", "ingest/activities/...", "ingest/pipeline/...", "go.temporal.io/...", "net/http"},
		why: "the catalogue is the authority and knows nobody who uses it",
	},
	{
		who:    []string{"ingest/..."},
		not:    []string{"github.com/jackc/...", "github.com/go-sql-driver/..."},
		except: []string{"ingest/metadata/postgres", "ingest/metadata/mysql", "ingest/internal/dbtest"},
		why:    "each database has one driver package; what they have in common is metadata/sqlcore",
	},
	{
		who: []string{"ingest/metadata/sqlite/...", "ingest/metadata/postgres/...", "ingest/metadata/mysql/..."},
		not: []string{"ingest/metadata/mysql", "ingest/metadata/postgres", "ingest/metadata/sqlite"},
		why: "drivers do not know each other",
	},
	{
		who: []string{"ingest/cache"},
		not: []string{"ingest/api/...", "ingest/metadata/...", "ingest/stores/...", "ingest/sources/...", "ingest/formats/...", "ingest/pipeline/...", "go.temporal.io/...", "net/http"},
		why: "the cache copies bytes that somebody else reads for it, under names that mean nothing to it",
	},
	{
		who: []string{"ingest/internal/access"},
		not: []string{"ingest/api/...", "ingest/metadata/...", "ingest/internal/config", "net/...", "go.temporal.io/..."},
		why: "rules judge callers and targets, and do not know what is behind them: they can be tried without a server",
	},
	{
		who: []string{"ingest/api/..."},
		not: []string{"ingest/activities/...", "ingest/workflows/...", "ingest/formats/...", "ingest/pipeline/...", "go.temporal.io/..."},
		why: "the API speaks of images and tasks, through its own small interfaces",
	},
	{
		who: []string{"ingest/pipeline/..."},
		not: []string{"ingest/api/...", "ingest/metadata/...", "ingest/workflows/...", "ingest/activities/...", "go.temporal.io/..."},
		why: "the data path runs without Temporal and without a catalogue",
	},
	{
		who: []string{"ingest/..."},
		not: []string{"go.temporal.io/server/..."},
		except: []string{
			"ingest/internal/embedded",
		},
		why: "linking the server takes minutes; one package does it",
	},
	{
		who:    []string{"ingest/..."},
		not:    []string{"ingest/internal/embedded"},
		except: []string{"ingest/cmd/ingest", "ingest/internal/embedded", "ingest/workflows/replaytest"},
		why:    "whoever imports the embedded server links it",
	},
	{
		who: []string{"ingest/..."},
		not: []string{"ingest/cmd/..."},
		why: "nothing imports the binary",
	},
}

// workflowMayImport is the whole list: determinism by absence.
var workflowMayImport = []string{
	"ingest/internal/contract", "ingest/internal/errcode",
	"go.temporal.io/sdk/workflow", "go.temporal.io/sdk/temporal", "go.temporal.io/sdk/log",
	"go.temporal.io/api/enums/v1",
	"errors", "fmt", "sort", "slices", "strings", "time", "encoding/json", "maps", "cmp",
}

// A pkg is what `go list -json` says of one.
type pkg struct {
	ImportPath string
	Imports    []string
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "ingest/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func match(pattern, path string) bool {
	base, tree := strings.CutSuffix(pattern, "/...")
	return path == base || (tree && strings.HasPrefix(path, base+"/"))
}

func matchAny(patterns []string, path string) bool {
	for _, p := range patterns {
		if match(p, path) {
			return true
		}
	}
	return false
}

func TestImportsPointOneWay(t *testing.T) {
	pkgs := list(t)
	if len(pkgs) < 10 {
		t.Fatalf("only %d packages listed", len(pkgs))
	}
	for _, p := range pkgs {
		for _, r := range rules {
			if !matchAny(r.who, p.ImportPath) || matchAny(r.except, p.ImportPath) {
				continue
			}
			for _, imp := range p.Imports {
				if imp != p.ImportPath && matchAny(r.not, imp) && !sameTree(r, p.ImportPath, imp) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imp, r.why)
				}
			}
		}
		if p.ImportPath == "ingest/workflows" {
			for _, imp := range p.Imports {
				if !matchAny(workflowMayImport, imp) {
					t.Errorf("%s imports %s: a workflow decides and does nothing else", p.ImportPath, imp)
				}
			}
		}
	}
}

// sameTree lets a package import a neighbour in the tree that the rule guards,
// such as formats/qcow2 its own library.
func sameTree(r rule, who, imp string) bool {
	return matchAny(r.who, imp) && len(r.who) < 3 && r.who[0] != "ingest/..." && matchAny(r.who, who)
}

// TestRulesNameRealPackages fails when a rule guards a package that is gone.
func TestRulesNameRealPackages(t *testing.T) {
	pkgs := list(t)
	future := []string{"ingest/sources/glance"}
	for _, r := range rules {
		for _, pattern := range append(append([]string{}, r.who...), r.except...) {
			base, _ := strings.CutSuffix(pattern, "/...")
			found := base == "ingest" || matchAny(future, base)
			for _, p := range pkgs {
				found = found || match(pattern, p.ImportPath)
			}
			if !found {
				t.Errorf("rule %q names %s, which does not exist", r.why, pattern)
			}
		}
	}
}
