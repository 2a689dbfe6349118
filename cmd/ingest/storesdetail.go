package main

import (
	"slices"

	"ingest/api"
	"ingest/internal/config"
)

// storeDetails says how stores are set up, with Glance's words where it has some. Names
// of credentials stay out.
func storeDetails(c config.Stores) map[string]api.StoreDetail {
	order := c.ReadOrder()
	out := map[string]api.StoreDetail{}
	for _, s := range c.List {
		d := api.StoreDetail{Type: "file", Properties: map[string]any{"data_dir": s.Dirs}}
		switch {
		case s.S3 != nil:
			d.Type, d.Properties = "s3", map[string]any{
				"bucket": s.S3.Bucket, "prefix": s.S3.Prefix, "endpoint": s.S3.Endpoint, "region": s.S3.Region,
				"s3_store_large_object_chunk_size": s.S3.PartSize, "s3_store_thread_pools": s.S3.Parallel,
			}
		case s.Web != nil:
			d.Type, d.Properties = "http", map[string]any{"base": s.Web.Base}
		}
		if i := slices.Index(order, s.Name); i >= 0 {
			d.Weight = len(order) - i
		}
		out[s.Name] = d
	}
	return out
}
