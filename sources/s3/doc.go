// Package s3 reads images from buckets of S3 services.
//
// A source is written s3://BUCKET/KEY[?versionId=ID][&endpoint=URL][&region=R].
// Without a credential it is asked for anonymously, at the endpoint of the URL
// or else at Amazon's. A credential of type s3 brings keys, endpoint and region
// along; an endpoint in the URL has then to be one that it is bound to.
//
// An endpoint that a URL names is connected to under the same rules as a web
// server: see sources/http. One that the operator has written into a credential
// is trusted, and may lie in the operator's own network.
//
// A source is pinned by its ETag, and in a bucket with versions by its version
// too, which is then asked for by its id, and found again although others came
// behind it. Each request demands the ETag (If-Match); 412 is
// errcode.SourceChanged. ETags of S3 are strong: they change with every change of
// the bytes (RFC 9110 section 8.8.1).
package s3
