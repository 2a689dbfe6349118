// Package put exports with one HTTP PUT, as presigned URLs and simple servers take it.
//
// A PUT cannot be gone on with, and what it made cannot be looked at: each attempt sends
// everything, with its length, and a status of 2xx is the server's word that it is
// there. That word is remembered: an attempt behind it sends nothing. Which addresses may
// be reached is decided as for sources, when it connects; no redirect is followed.
package put
