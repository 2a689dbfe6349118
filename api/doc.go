// Package api is the HTTP face of ingest: the image and task calls of the
// OpenStack Glance API v2, so that its clients work, and ingest's own calls
// below /v1. docs/api.md describes both.
//
// A request for an import is accepted in two steps that are never mixed up: the
// catalogue records it in one transaction, and only then is its workflow
// started. If the start fails the request has still been accepted, because the
// catalogue is the authority: the reconciler starts what has no workflow.
//
// Who makes a request is found out by an identity.Authenticator before any route
// sees it. Without one, the X-Project-Id header names the project ("default" if there
// is none) and nothing proves it: such a handler belongs behind a loopback listener
// or behind something that authenticates.
//
// The package knows workflows through the Imports interface and stored bytes
// through Blobs; it never reads a disk image.
package api
