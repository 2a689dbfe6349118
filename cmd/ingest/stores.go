package main

import (
	"context"
	"net/netip"
	"time"

	"ingest/internal/config"
	"ingest/internal/credentials"
	"ingest/internal/s3client"
	httpsource "ingest/sources/http"
	s3source "ingest/sources/s3"
	"ingest/stores"
	"ingest/stores/fs"
	httpstore "ingest/stores/http"
	s3store "ingest/stores/s3"
)

// openStores opens every store that is declared. One in a bucket that does not
// answer is told of in the log, and is waited for by what needs it.
func (s *services) openStores(vault *credentials.Vault, web httpsource.Options) (map[string]stores.Store, error) {
	out := map[string]stores.Store{}
	for _, d := range s.c.Stores.List {
		if d.Web != nil {
			out[d.Name] = openWeb(d, web)
			continue
		}
		if d.S3 == nil {
			store, err := openFolders(d)
			if err != nil {
				return nil, notStarted(err, "the store "+d.Name+" cannot be opened", folder(d.Dirs[0]))
			}
			out[d.Name] = store
			continue
		}
		store, err := openBucket(d.Name, d.S3, vault)
		if err != nil {
			return nil, err
		}
		out[d.Name] = store
		go s.checkStore(store)
	}
	return out, nil
}

// openWeb opens a store on a web server. Its host is the operator's word, and is
// connected to wherever it lies, unless it is denied; no other host is.
func openWeb(d config.Store, o httpsource.Options) stores.Store {
	o.AllowNets = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	o.Ports, o.HTTPSOnly, o.Operator = nil, false, true
	o.MaxRedirects, o.MaxBytes = -1, -1
	return httpstore.New(d.Name, d.Web.Base, d.Web.Credential, httpsource.New(o))
}

// openFolders opens a store in one folder or several.
func openFolders(d config.Store) (stores.Store, error) {
	if len(d.Dirs) == 1 {
		return fs.Open(d.Dirs[0], d.Name)
	}
	var all []fs.Folder
	for i, dir := range d.Dirs {
		all = append(all, fs.Folder{Dir: dir, Weight: d.Weights[i]})
	}
	return fs.OpenSeveral(all, d.Name)
}

// checkStore logs what is wrong with a store in a bucket.
func (s *services) checkStore(store *s3store.Store) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := store.Check(ctx); err != nil {
		s.log.Warn().Err(err).Str("store", store.Name()).Msg("the store cannot be written to")
	}
}

// openBucket opens a store in a bucket. Its endpoint is the operator's word, and
// is connected to wherever it lies.
func openBucket(name string, d *config.S3Store, vault *credentials.Vault) (*s3store.Store, error) {
	o := s3client.Options{Endpoint: d.Endpoint, Region: d.Region, Style: d.Style, Connections: 2 * max(d.Parallel, 8)}
	if d.Credential != "" {
		use := credentials.Use{Types: []string{credentials.S3}, Bucket: d.Bucket, Operator: true}
		c, err := vault.Get(d.Credential, use)
		if err != nil {
			return nil, err
		}
		o = s3client.From(c, o)
		use.To = s3client.URL(o, d.Bucket)
		o.KeysNow = func() (s3client.Keys, error) {
			c, err := vault.Get(d.Credential, use)
			if err != nil {
				return s3client.Keys{}, err
			}
			return s3client.From(c, s3client.Options{}).Keys, nil
		}
		if _, err := vault.Get(d.Credential, use); err != nil {
			return nil, err
		}
	}
	client, err := s3client.New(context.Background(), o)
	if err != nil {
		return nil, err
	}
	return s3store.New(name, client, s3store.Options{
		Bucket: d.Bucket, Prefix: d.Prefix, Memory: d.Memory, Parallel: d.Parallel, PartSize: d.PartSize, MaxObject: d.MaxObject,
		Checksum: d.Checksum, Encryption: d.Encryption, KMSKey: d.KMSKey, StorageClass: d.StorageClass, OneWriter: d.OneWriter,
	})
}

// s3Options are the limits of http sources as they hold for buckets.
func s3Options(c *config.Server, vault *credentials.Vault) s3source.Options {
	return s3source.Options{
		Credentials: vault, Dial: httpsource.Dialer(httpOptions(c, nil)), HTTPSOnly: c.Fetch.HTTPSOnly,
		MaxBytes: c.MaxSourceBytes, Attempts: c.Fetch.Retries + 1, Stall: c.Fetch.StallTimeout,
	}
}
