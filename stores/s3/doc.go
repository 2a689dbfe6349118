// Package s3 keeps images in a bucket of an S3 service.
//
// What a store holds below its prefix:
//
//	store.json                           the stamp; written once
//	objects/<image>/<upload>.json        a claim: which upload's bytes are the key's
//	data/<image>/<upload>/<random>       the bytes of one upload, whole
//	uploads/<image>.<upload>.<random>.json  the manifest of an upload; its name is the upload's id
//	parts/<id>/<n>.<generation>[.<piece>]  the written bytes of a part that is not full yet
//
// The bytes are one multipart upload to the data key. Parts have sizes that
// follow from their number alone (see layout), so that WriteAt may come in any
// order and in any process. A part goes out when each of its bytes has been
// written; nothing of it is kept then. A part that is begun and not full is held
// in memory, within Options.Memory, and is put under parts/ by Checkpoint or when
// memory is short, because S3 reads back no part of an unfinished upload.
//
// The manifest is the truth of an upload: its state, generation, note. Each
// change of it is one conditional PUT (If-Match), so that of two handles only
// the younger gets through. Commit puts the claim, then sets the manifest to
// committed, which is the moment at which the object is visible; then the claim
// takes the record over and the manifest goes. No byte is copied. A claim whose
// manifest is not committed is not an object. Abort and Delete set the manifest
// to aborted, before anything else is removed, and remove it last: what a crash
// leaves of either is found and finished by way of Uploads and Resume.
//
// The service has to honour If-None-Match and If-Match on PUT, which is tried
// when the store is first written to. For one that does not, the operator can
// vouch that one process alone writes (Options.OneWriter); then a lock in the
// process takes the conditions' place.
//
// A claim is removed under If-Match too. A service that takes no notice of it on
// DELETE, which is tried as well, is never told to remove one: the claim is given up,
// by a conditional PUT of an empty one, which the next upload of the key replaces. A
// removal that comes late can so never meet another upload's claim. The sweep removes
// empty claims after a week.
//
// Uploads finds what has no manifest too: parts, multipart uploads, and bytes that no
// claim names, by reading the listings of both side by side.
//
// Objects are dense: what was not written is sent as zeros.
package s3
