package api

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/pipeline"
)

type renderer struct{ p *pipeline.Pipeline }

func (r renderer) Render(ctx context.Context, from []contract.Stored, size int64, format string, t contract.TargetSpec) (Rendering, error) {
	out, err := r.p.Render(ctx, from, size, format, t)
	if err != nil {
		return nil, err
	}
	return out, nil
}

func TestDownloadInAnotherFormat(t *testing.T) {
	b := newUploadBench(t)
	path, qcow2 := b.newImage(qcow2Image), qcow2File(t)
	b.put(path+"/file", bytes.NewReader(qcow2)).want(t, 204, "")
	dir := t.TempDir()
	in := filepath.Join(dir, "in.qcow2")
	if err := os.WriteFile(in, qcow2, 0o600); err != nil {
		t.Fatal(err)
	}
	for format, qemu := range map[string]string{"raw": "raw", "vmdk": "vmdk", "vdi": "vdi", "vhdx": "vhdx", "vhd": "vpc"} {
		t.Run(format, func(t *testing.T) {
			whole := b.do("GET", path+"/file?disk_format="+format, "").want(t, 200, "")
			out := filepath.Join(dir, "out."+format)
			if err := os.WriteFile(out, whole.body, 0o600); err != nil {
				t.Fatal(err)
			}
			imgtest.QemuImg(t, "compare", "-f", "qcow2", "-F", qemu, in, out)
			if whole.ContentLength != int64(len(whole.body)) || whole.Header.Get("Accept-Ranges") != "bytes" || whole.Header.Get("Content-MD5") != "" {
				t.Errorf("headers %v", whole.Header)
			}
			tag := whole.Header.Get("ETag")
			part := b.do("GET", path+"/file?disk_format="+format, "", "Range", "bytes=1000000-1999999", "If-Range", tag).want(t, 206, "")
			if !bytes.Equal(part.body, whole.body[1000000:2000000]) {
				t.Error("a range has other bytes")
			}
			b.do("GET", path+"/file?disk_format="+format, "", "If-None-Match", tag).want(t, 304, "")
			b.do("GET", path+"/file", "", "If-None-Match", tag).want(t, 200, "")
		})
	}
	if same := b.do("GET", path+"/file?disk_format=qcow2", "").want(t, 200, ""); !bytes.Equal(same.body, qcow2) {
		t.Error("the image's own format is not the image")
	}
	b.do("GET", path+"/file?disk_format=nonsense", "").want(t, 400, errcode.TargetFormat)
	b.do("GET", path+"/file?compression=zstd", "").want(t, 400, errcode.BadRequest)
}

func TestDownloadConditions(t *testing.T) {
	b := newUploadBench(t)
	path := b.newImage(rawImage)
	b.put(path+"/file", bytes.NewReader(noise(t, 1<<20))).want(t, 204, "")
	first := b.do("HEAD", path+"/file", "").want(t, 200, "")
	tag, at := first.Header.Get("ETag"), first.Header.Get("Last-Modified")
	if tag == "" || at == "" {
		t.Fatalf("headers %v", first.Header)
	}
	for _, c := range []struct {
		name   string
		status int
		header []string
	}{
		{"has it", 304, []string{"If-None-Match", tag}},
		{"has it, by time", 304, []string{"If-Modified-Since", at}},
		{"has an older one", 200, []string{"If-Modified-Since", "Mon, 02 Jan 2006 15:04:05 GMT"}},
		{"the tag counts more than the time", 200, []string{"If-None-Match", `"other"`, "If-Modified-Since", at}},
		{"no date", 200, []string{"If-Modified-Since", "yesterday"}},
		{"wants this one", 200, []string{"If-Match", tag}},
		{"wants another one", 412, []string{"If-Match", `"other"`}},
		{"goes on", 206, []string{"Range", "bytes=5-", "If-Range", tag}},
		{"goes on, by time", 206, []string{"Range", "bytes=5-", "If-Range", at}},
		{"goes on with another one", 200, []string{"Range", "bytes=5-", "If-Range", `"other"`}},
	} {
		t.Run(c.name, func(t *testing.T) { b.do("GET", path+"/file", "", c.header...).want(t, c.status, "") })
	}
}
