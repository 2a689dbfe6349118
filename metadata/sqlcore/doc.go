// Package sqlcore is the catalogue in SQL: everything that SQLite, PostgreSQL
// and MySQL or MariaDB have in common, which is all but their connections.
//
// A driver package opens its database, describes it in a Dialect and calls New.
// The tables are made by numbered migrations (migrations/*.sql) whose column
// types are words in braces that the Dialect replaces:
//
//	{id}      short ASCII key, up to 64 characters
//	{word}    status, format or code, up to 64 characters
//	{name}    up to 255 characters of Unicode; short enough to be indexed
//	{long}    up to 1024 characters, indexed for equality only, as follows
//	{text}    unbounded text; JSON is kept as text, byte by byte
//	{int}     64-bit integer; points in time are microseconds since 1970 UTC
//	{bool}    truth value
//	{seq}     ascending 64-bit primary key that the database assigns
//	{lookup}  stands before the parenthesis of an index on one {long} column,
//	{prefix}  behind its name
//	{options} what follows the closing parenthesis of CREATE TABLE
//
// Text compares by code point in every database, so that an idempotency key or
// a name means the same everywhere.
//
// An image's first location stands in its own row, further ones in
// image_locations.
//
// An image's tags and properties stand in its own row, where they are read. The same
// transaction keeps image_tags and image_properties, by which lists find images; of a
// property's value that is a digest, because values are longer than indexes take.
//
// A statement ends with a semicolon and a line break. Databases that commit each
// statement which changes the schema run those of a killed migration again, so a
// migration has at most one statement that changes rows, its last.
//
// Every row of images and tasks carries a row version. A transaction that
// writes a row which another one has changed since it was read does not commit;
// it runs again. Thus no update is lost, whatever the isolation is worth.
package sqlcore
