package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ingest/api/wire"
	"ingest/metadata"
	"ingest/metadata/sqlite"
)

// many is how many images the catalogue of BenchmarkLists holds.
const many = 100_000

// manyImages fills a catalogue like that of a cloud: most images are their projects'
// own, one project has half of all, some are public, hidden or not active.
func manyImages(tb testing.TB, repo metadata.Repository) {
	tb.Helper()
	ctx := tb.Context()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for from := 0; from < many; from += 2000 {
		err := repo.InTx(ctx, func(tx metadata.Tx) error {
			for i := from; i < from+2000; i++ {
				size := int64(i%977) << 20
				img := metadata.Image{
					ID: fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(i)*2654435761, i), Name: fmt.Sprintf("image-%05d", (i*7919)%many), Owner: "large",
					Status: metadata.ImageActive, Visibility: "shared", DiskFormat: "qcow2", ContainerFormat: "bare", Size: &size, VirtualSize: &size,
					HashAlgo: "sha256", HashValue: fmt.Sprintf("%064x", i), Store: "local", Key: fmt.Sprintf("k/%d", i), Tags: []string{"all", fmt.Sprintf("rack-%d", i%500)},
					Properties: map[string]string{"os_distro": []string{"debian", "ubuntu", "fedora", "windows"}[i%4], "os_version": fmt.Sprint(i % 20), "hw_firmware_type": "uefi", "architecture": "x86_64"},
					CreatedAt:  at.Add(time.Duration(i) * time.Second), UpdatedAt: at.Add(time.Duration(i%5000) * time.Hour),
				}
				if i%2 == 0 {
					img.Owner = fmt.Sprintf("project-%d", i%1000)
				}
				switch {
				case i%50 == 0:
					img.Visibility = "public"
				case i%51 == 0:
					img.Visibility = "community"
				case i%13 == 0:
					img.Hidden = true
				case i%17 == 0:
					img.Status = metadata.ImageDeleted
				}
				if err := tx.PutImage(ctx, img); err != nil {
					return err
				}
				if i%100 == 2 {
					if err := tx.PutMember(ctx, metadata.Member{ImageID: img.ID, Project: "large", Status: metadata.MemberAccepted, CreatedAt: at, UpdatedAt: at}); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkLists lists 100 images of 100,000 over HTTP, as `glance image-list` does. It
// reports the median beside Go's mean.
func BenchmarkLists(b *testing.B) {
	repo, err := sqlite.Open(filepath.Join(b.TempDir(), "catalogue.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer repo.Close()
	manyImages(b, repo)
	server := httptest.NewServer(New(Deps{Catalogue: metadata.New(repo), Imports: &script{}, Blobs: &blobs{}, Stores: []string{"local"}, DefaultStore: "local", Log: zerolog.Nop()}))
	defer server.Close()
	deep := markerAt(b, repo, "image-50000")
	for _, c := range []struct {
		name, project, roles, query string
		want                        int
	}{
		{"default", "large", "", "", 100},
		{"default of a small project", "project-2", "", "", 100},
		{"default of an admin", "ops", "admin", "", 100},
		{"page deep inside", "large", "", "marker=" + deep, 100},
		{"by name", "large", "", "name=image-00007", 1},
		{"by name of nobody", "large", "", "name=none", 0},
		{"by rare tag and property", "large", "", "tag=rack-3&os_distro=windows", 100},
		{"by common tag and property", "large", "", "tag=all&os_distro=ubuntu", 100},
		{"by property of nobody", "large", "", "os_distro=plan9", 0},
		{"by name, ascending, deep inside", "large", "", "sort=name:asc&marker=" + deep, 100},
		{"by name, ascending, deep inside, of an admin", "ops", "admin", "sort=name:asc&marker=" + deep, 100},
		{"by status and size", "large", "", "status=active&size_min=1048576", 100},
		{"public ones", "nobody", "", "visibility=public", 100},
		{"by size", "large", "", "sort=size:desc", 100},
		{"by size, of a small project", "project-2", "", "sort=size:desc", 100},
		{"by size, of an admin", "ops", "admin", "sort=size:asc", 100},
		{"by size, from a size on", "large", "", "sort=size:asc&size_min=900000000", 100},
		{"by a size of nobody", "large", "", "size_min=9000000000000", 0},
		{"by status of nobody", "large", "", "status=queued&sort=size:asc", 0},
		{"by time of change", "large", "", "sort=updated_at:desc", 100},
		{"by status, ascending", "large", "", "sort=status:asc", 100},
		{"by disk format", "large", "", "sort=disk_format:asc", 100},
		{"by container format", "large", "", "sort=container_format:desc", 100},
		{"by id", "large", "", "sort=id:asc", 100},
		{"by name, then size", "large", "", "sort=name:asc,size:desc", 100},
		{"by size, then name", "large", "", "sort=size:desc,name:asc", 100},
		{"by size, then name, deep inside", "large", "", "sort=size:desc,name:asc&marker=" + deep, 100},
		{"by size, then name, of an admin", "ops", "admin", "sort=size:desc,name:asc", 100},
		{"by disk format, then name", "large", "", "sort=disk_format:asc,name:asc", 100},
	} {
		b.Run(c.name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				n := listOnce(b, server.URL+"/v2/images?limit=100&"+c.query, c.project, c.roles)
				took = append(took, time.Since(began))
				if n != c.want {
					b.Fatalf("%d images, want %d", n, c.want)
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func listOnce(b *testing.B, url, project, roles string) int {
	b.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("X-Project-Id", project)
	if roles != "" {
		req.Header.Set("X-Roles", roles)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		b.Fatalf("%d %s %v", res.StatusCode, raw, err)
	}
	var list wire.ImageList
	if err := json.Unmarshal(raw, &list); err != nil {
		b.Fatal(err)
	}
	return len(list.Images)
}

// markerAt returns the id of the image of a name.
func markerAt(b *testing.B, repo metadata.Repository, name string) (id string) {
	b.Helper()
	err := repo.InTx(context.Background(), func(tx metadata.Tx) error {
		list, err := tx.Images(b.Context(), metadata.ImageFilter{Name: name, Limit: 1, Deleted: true})
		if err == nil && len(list) == 1 {
			id = list[0].ID
		}
		return err
	})
	if err != nil || id == "" {
		b.Fatalf("no image %s: %v", name, err)
	}
	return id
}
