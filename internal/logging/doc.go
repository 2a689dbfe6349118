// Package logging sets up the one logger of a process and lends it to Temporal.
//
// Vocabulary:
//
//   - A *line* is one event with a message and fields. In the json format it is
//     one JSON object a line, for machines; in the console format it is for
//     people at a terminal. Both carry the same fields.
//   - The *SDK adapter* (Temporal) turns a zerolog logger into what Temporal's
//     Go SDK expects. The adapter for the Temporal server is in
//     internal/embedded, so that this package does not link the server.
//   - *Redaction*: a URL may carry its own authorisation, as user info
//     (https://user:password@host) or as a query (a presigned URL of S3, a SAS
//     of Azure). URL and Text remove both; whoever logs a source's address
//     passes it through URL first. The adapters pass every string and error
//     through Text, because errors of net/http quote the whole URL.
//   - *Shutdown noise*: work that is cut off by a shutdown or by a cancelled
//     request ends in "context canceled". That is what was asked for and no
//     failure, so the adapters log it at debug level.
package logging
