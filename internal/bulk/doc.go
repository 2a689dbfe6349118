// Package bulk reads the manifests of imports in bulk: lists of sources with what they
// have in common, as JSON, YAML, CSV, or JSON by the line.
//
// A manifest is a head and items. The head names the bulk, says what items are unless
// they say otherwise (defaults), and how the bulk is worked on. In the names, tags and
// properties of images, placeholders stand for what differs: {key}, {n}, {filename},
// {basename}, {host}; {{ and }} stand for braces. They are not a language, and there is no
// code in a manifest.
//
// Everything is read strictly: a member that does not exist is an error, and errors name
// the item, its line, and the field. What an import request may say is checked by whoever
// takes the manifest.
package bulk
