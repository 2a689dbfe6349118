// Package staged reads what clients have sent for an import, in the staging folder of
// the host that took it. A URL of it, staged://QUEUE/ID, is made by the server alone:
// the API takes no source of that scheme.
package staged
