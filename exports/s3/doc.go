// Package s3 exports into objects of buckets that the operator allows.
//
// An object is sent as one multipart upload, in parts of a size that follows from the
// object's alone. The id of the multipart upload is remembered; another attempt asks
// which parts are there, and sends those again whose checksum (CRC-32C, kept by the
// service) is not that of its own bytes. The object carries the task's id as metadata
// (ingest-task), by which an attempt that was killed behind the last step knows its own
// work. Without overwrite, the last step is conditional (If-None-Match).
package s3
