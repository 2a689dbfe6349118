// Package credentials keeps the secrets that sources and stores are opened
// with, under names. A request names one; the worker that opens the source looks
// it up. A secret stands in the operator's file or environment, in the memory of
// the process that uses it, and nowhere else: a Credential prints and marshals
// as its name.
//
// Each credential is bound to hosts, and may be bound to projects and buckets.
// It is never sent to any other host, whatever a URL or a redirect says, and
// over plain http only where the file allows it or to this host.
//
// The file is YAML, one entry a name, and private to its owner (mode 0600):
//
//	mirror:
//	  type: basic
//	  hosts: [images.example.com, "*.example.org"]
//	  projects: [8c6ac1b5c1a24b0ab6b9d2f0a2b1c3d4]   # optional: who may name it
//	  username: ingest
//	  password: ...
//	lab:
//	  type: s3
//	  endpoint: https://s3.example.com
//	  buckets: [images]                              # optional
//	  access_key: ...
//	  secret_key: ...
//	cloud:
//	  type: openstack
//	  auth_url: https://cloud.example.org:5000/v3
//	  hosts: ["cloud.example.org:5000", "cloud.example.org:9292"]
//	  application_credential_id: ...
//	  application_credential_secret: ...
//
// or, for one credential, variables INGEST_CREDENTIAL_<NAME>_<FIELD>, such as
// INGEST_CREDENTIAL_MIRROR_PASSWORD; lists are joined by commas. The file is
// read again when it has changed.
package credentials
