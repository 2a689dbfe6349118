// Package schemas holds the JSON schemas of the Image API v2: what its clients ask for
// below /v2/schemas, and by which some of them build their command line. The glance
// client turns every property that is not readOnly into an option, so those flags are
// part of the interface.
//
// Check judges a value by a schema. It knows the words that the schemas here use, and
// no others: type, enum, required, properties, additionalProperties, items, maxLength,
// minimum, minItems, uniqueItems, allOf and references into definitions.
package schemas
