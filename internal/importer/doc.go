// Package importer starts, cancels and watches import workflows through a
// Temporal client. It is what stands behind the API's Imports.
//
// Two places know how far an import is. The workflow answers a query, but only
// while some worker is there to answer, and it hears of bytes now and then. The
// heartbeat of the activity that is at work lies with the service, whoever is
// there to ask, and holds the latest bytes. Progress asks both at once and
// shows what was observed last.
package importer
