// Package wire holds the bodies that the API and its clients exchange. Image
// and the v2 task bodies have exactly the members that OpenStack Glance gives
// them; everything below /v1 is ingest's own. Members are only added, never
// renamed. Sizes are bytes, times are UTC.
package wire
