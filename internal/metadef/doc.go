// Package metadef holds metadata definitions as they travel: in requests and answers of
// the Image API below /v2/metadefs, and in the files that OpenStack's standard
// definitions come in, whose shape is that of a namespace with everything in it.
//
// Parse functions judge what comes from outside by the schemas that clients see
// (internal/schemas), made stricter where Glance would fail later. What they return fits
// the catalogue (metadata.Namespace), and every answer is written from that.
package metadef
