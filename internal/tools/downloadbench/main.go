// Command downloadbench measures downloads of ingest beside those of nginx, which
// serves the same bytes from the same disk, and the memory that many slow ones take.
// `make bench-download` runs it.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ingest/internal/tools/ingestserver"
)

func main() {
	bin := flag.String("ingest", "bin/ingest", "the program")
	size := flag.Int64("size", 1<<30, "bytes of the image")
	pairs := flag.Int("pairs", 7, "downloads of each server")
	slow := flag.Int("slow", 500, "slow downloads at once")
	last := flag.Duration("for", 20*time.Second, "how long the slow downloads last")
	flag.Parse()
	if err := run(context.Background(), *bin, *size, *pairs, *slow, *last); err != nil {
		fmt.Fprintln(os.Stderr, "downloadbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin string, size int64, pairs, slow int, last time.Duration) error {
	dir, err := os.MkdirTemp("", "downloadbench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := ingestserver.Start(ctx, bin, dir)
	if err != nil {
		return err
	}
	defer s.Stop()
	from, file, err := upload(s.URL, dir, size)
	if err != nil {
		return err
	}
	web, stop, err := nginx(dir, file)
	if err != nil {
		return err
	}
	defer stop()
	if err := compare(from, web, size, pairs); err != nil {
		return err
	}
	return crowd(s, from, slow, last)
}

// upload sends an image of bytes that are no zeros, and writes them into a file too.
func upload(url, dir string, size int64) (from, file string, err error) {
	file = filepath.Join(dir, "image.raw")
	block := bytes.Repeat([]byte("ingest and nginx send the same. "), 1<<15)
	f, err := os.Create(file)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	for n := int64(0); n < size; n += int64(len(block)) {
		if _, err := f.Write(block[:min(int64(len(block)), size-n)]); err != nil {
			return "", "", err
		}
	}
	res, err := http.Post(url+"/v2/images", "application/json", strings.NewReader(`{"disk_format":"raw","container_format":"bare"}`))
	if err != nil {
		return "", "", err
	}
	res.Body.Close()
	from = url + res.Header.Get("Location") + "/file"
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", "", err
	}
	req, err := http.NewRequest("PUT", from, f)
	if err != nil {
		return "", "", err
	}
	req.ContentLength = size
	req.Header.Set("Content-Type", "application/octet-stream")
	began := time.Now()
	if res, err = http.DefaultClient.Do(req); err != nil {
		return "", "", err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		text, _ := io.ReadAll(res.Body)
		return "", "", fmt.Errorf("upload: %s %s", res.Status, text)
	}
	fmt.Printf("upload of %d MiB: %.0f MB/s\n", size>>20, rate(size, time.Since(began)))
	return from, file, nil
}

func rate(n int64, took time.Duration) float64 { return float64(n) / 1e6 / took.Seconds() }

// nginx serves a file with sendfile, as its manual advises for large ones.
func nginx(dir, file string) (url string, stop func(), err error) {
	const port = "19388"
	conf := fmt.Sprintf(`daemon off; worker_processes 2; pid %[1]s/nginx.pid; error_log stderr crit;
events { worker_connections 1024; }
http { access_log off; sendfile on; tcp_nopush on; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
server { listen 127.0.0.1:%[2]s; root %[3]s; } }
`, dir, port, filepath.Dir(file))
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		return "", nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // its workers are of another user
		return "", nil, err
	}
	cmd := exec.Command("nginx", "-c", path, "-p", dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() }
	url = "http://127.0.0.1:" + port + "/" + filepath.Base(file)
	for range 100 {
		res, err := http.Head(url)
		if err == nil {
			res.Body.Close()
			return url, stop, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	return "", nil, errors.New("nginx does not answer")
}

// compare downloads in turns, and prints the medians and their ratio.
func compare(from, web string, size int64, pairs int) error {
	var ours, theirs []float64
	for range pairs {
		for _, c := range []struct {
			url  string
			into *[]float64
		}{{from, &ours}, {web, &theirs}} {
			took, err := fetch(c.url, size)
			if err != nil {
				return err
			}
			*c.into = append(*c.into, rate(size, took))
		}
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	a, b := ours[len(ours)/2], theirs[len(theirs)/2]
	fmt.Printf("download of %d MiB, median of %d: ingest %.0f MB/s, nginx %.0f MB/s, ratio %.2f\n", size>>20, pairs, a, b, a/b)
	return nil
}

// fetch downloads with curl, whose own cost is the same for both.
func fetch(url string, size int64) (time.Duration, error) {
	out, err := exec.Command("curl", "-sS", "-f", "-o", "/dev/null", "-w", "%{time_total} %{size_download}", url).Output()
	if err != nil {
		return 0, fmt.Errorf("curl %s: %w", url, err)
	}
	seconds, got, _ := strings.Cut(string(out), " ")
	if got != strconv.FormatInt(size, 10) {
		return 0, fmt.Errorf("%s gave %s bytes of %d", url, got, size)
	}
	took, err := strconv.ParseFloat(seconds, 64)
	return time.Duration(took * float64(time.Second)), err
}

// crowd has many clients read slowly at once, and prints what that takes.
func crowd(s *ingestserver.Server, url string, clients int, last time.Duration) error {
	idle, _, err := s.Memory()
	if err != nil {
		return err
	}
	if err := s.ResetMark(); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), last)
	defer stop()
	var all sync.WaitGroup
	var mu sync.Mutex
	var read int64
	var failed error
	for range clients {
		all.Go(func() {
			n, err := sip(ctx, url)
			mu.Lock()
			defer mu.Unlock()
			read += n
			if err != nil && failed == nil {
				failed = err
			}
		})
	}
	all.Wait()
	_, peak, err := s.Memory()
	fmt.Printf("%d slow downloads at once, %d MiB read: %d MiB resident before, %d MiB at the peak, %d MiB more\n",
		clients, read>>20, idle>>20, peak>>20, (peak-idle)>>20)
	return errors.Join(failed, err)
}

// sip reads 64 kB twice a second until the time is over.
func sip(ctx context.Context, url string) (int64, error) {
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return 0, err
	}
	res, err := (&http.Transport{DisableCompression: true}).RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, errors.New(res.Status)
	}
	var sum int64
	for buf := make([]byte, 64<<10); ctx.Err() == nil; time.Sleep(500 * time.Millisecond) {
		n, err := res.Body.Read(buf)
		sum += int64(n)
		if err != nil {
			return sum, err
		}
	}
	return sum, nil
}
