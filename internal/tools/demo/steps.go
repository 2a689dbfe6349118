package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A demo is one run: a folder, an HTTP server for the images, an ingest server.
type demo struct {
	bin, dir string
	url      string // of the ingest server
	files    string // of the HTTP server
	serve    *exec.Cmd
	ids      []string // image ids, in the order of images()
}

func (d *demo) path(elem ...string) string { return filepath.Join(append([]string{d.dir}, elem...)...) }

// short writes the demo's long paths as one would type them.
func (d *demo) short(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, d.bin, "ingest"), d.dir+"/", "")
}

// run prints a command and runs it in the demo's terminal.
func (d *demo) run(name string, args ...string) error {
	fmt.Println(dim("$ " + d.short(name+" "+strings.Join(args, " "))))
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "INGEST_URL="+d.url)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", d.short(name+" "+strings.Join(args, " ")), err)
	}
	return nil
}

// query runs an ingest command with --json and decodes its answer.
func (d *demo) query(into any, args ...string) error {
	cmd := exec.Command(d.bin, append(args, "--json")...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "INGEST_URL="+d.url)
	out, err := cmd.Output()
	if len(out) == 0 && err != nil {
		return fmt.Errorf("ingest %s: %w", strings.Join(args, " "), err)
	}
	return json.Unmarshal(out, into)
}

// start starts the HTTP server and the ingest server, both on free ports.
func (d *demo) start() error {
	title("A server of its own, everything embedded")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(ln, http.FileServer(http.Dir(d.dir)))
	d.files = "http://" + ln.Addr().String()

	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := free.Addr().String()
	free.Close()
	d.url = "http://" + addr
	args := []string{"serve", "--data-dir", d.path("data"), "--listen", addr, "--file-roots", d.dir, "--allow-net", "127.0.0.0/8"}
	fmt.Println(dim("$ " + d.short("ingest "+strings.Join(args, " ")) + " &"))
	log, err := os.Create(d.path("serve.log"))
	if err != nil {
		return err
	}
	d.serve = exec.Command(d.bin, args...)
	d.serve.Stdout, d.serve.Stderr = log, log
	if err := d.serve.Start(); err != nil {
		return err
	}
	return d.waitReady()
}

func (d *demo) waitReady() error {
	began := time.Now()
	for time.Since(began) < 60*time.Second {
		if resp, err := http.Get(d.url + "/v1/healthz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				fmt.Printf("ready after %.1f s on %s\n", time.Since(began).Seconds(), d.url)
				return nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("the server did not come up; its log is %s", d.path("serve.log"))
}

func (d *demo) stop() {
	if d.serve == nil || d.serve.Process == nil {
		return
	}
	d.serve.Process.Signal(syscall.SIGTERM)
	d.serve.Wait()
}

// importAll imports every image and follows it.
func (d *demo) importAll() error {
	for _, img := range images() {
		title("Import " + img.name + " as " + strings.TrimSpace(img.to+" "+img.comp))
		src := d.path(img.name)
		if img.http {
			src = d.files + "/" + img.name
		}
		args := []string{"import", src, "--name", img.name, "--to", img.to}
		if img.comp != "" {
			args = append(args, "--compression", img.comp)
		}
		if err := d.run(d.bin, args...); err != nil {
			return err
		}
	}
	return nil
}

// show prints what is there.
func (d *demo) show() error {
	title("Tasks and images")
	if err := d.run(d.bin, "task", "list"); err != nil {
		return err
	}
	return d.run(d.bin, "image", "list")
}

// A shown is what the demo looks at in `ingest image list --json`.
type shown struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	Status        string `json:"status"`
	DiskFormat    string `json:"disk_format"`
	Size          int64  `json:"size"`
	VirtualSize   int64  `json:"virtual_size"`
	HashAlgo      string `json:"os_hash_algo"`
	HashValue     string `json:"os_hash_value"`
	ContentDigest string `json:"content_digest"`
}

// prove checks that every task succeeded and every image is active with one
// and the same content digest, which is that of the raw disk.
func (d *demo) prove() error {
	title("The same content, whatever the format")
	var digest struct {
		ContentDigest string `json:"content_digest"`
	}
	fmt.Println(dim("$ ingest digest disk.raw"))
	if err := d.query(&digest, "digest", d.path("disk.raw")); err != nil {
		return err
	}
	fmt.Println(digest.ContentDigest + "  disk.raw")
	for _, img := range images() {
		got, err := d.image(img.name)
		if err != nil {
			return err
		}
		fmt.Printf("%s  %-22s %-6s %12d bytes  %s:%.16s…\n", got.ContentDigest, got.Name, got.DiskFormat, got.Size, got.HashAlgo, got.HashValue)
		switch {
		case got.Status != "active":
			return fmt.Errorf("%s is %s, not active", img.name, got.Status)
		case got.DiskFormat != img.to:
			return fmt.Errorf("%s is stored as %s, not %s", img.name, got.DiskFormat, img.to)
		case got.ContentDigest == "" || got.ContentDigest != digest.ContentDigest:
			return fmt.Errorf("%s has another content digest than the disk", img.name)
		}
	}
	return d.tasksSucceeded()
}

// image finds an image by name.
func (d *demo) image(name string) (shown, error) {
	var list struct {
		Images []shown `json:"images"`
	}
	if err := d.query(&list, "image", "list"); err != nil {
		return shown{}, err
	}
	for _, img := range list.Images {
		if img.Name == name {
			return img, nil
		}
	}
	return shown{}, fmt.Errorf("there is no image %s", name)
}

func (d *demo) tasksSucceeded() error {
	var list struct {
		Tasks []struct {
			ID, Status string
		} `json:"tasks"`
	}
	if err := d.query(&list, "task", "list"); err != nil {
		return err
	}
	if len(list.Tasks) != len(images()) {
		return fmt.Errorf("%d tasks for %d imports", len(list.Tasks), len(images()))
	}
	for _, t := range list.Tasks {
		if t.Status != "success" {
			return fmt.Errorf("task %s is %s", t.ID, t.Status)
		}
	}
	return nil
}

// refuse lets an image that names a file of the host be refused.
func (d *demo) refuse() error {
	title("A hostile image: its header names a file of this host")
	if err := d.run("qemu-img", "info", "-U", d.path("hostile.qcow2")); err != nil {
		return err
	}
	err := d.run(d.bin, "import", d.path("hostile.qcow2"), "--name", "hostile.qcow2", "--to", "raw")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		return fmt.Errorf("the hostile image was not refused: %v", err)
	}
	got, err := d.image("hostile.qcow2")
	if err != nil {
		return err
	}
	if got.Status == "active" || got.Size != 0 {
		return fmt.Errorf("the hostile image is %s", got.Status)
	}
	return nil
}
