#!/bin/sh
# Creates or upgrades the two schemas of a Temporal service on PostgreSQL.
#
# Where the database is stands in SQL_PLUGIN, SQL_HOST, SQL_PORT, SQL_USER and
# SQL_PASSWORD, which temporal-sql-tool reads. The tool's own copy of the schema is
# used, so it belongs to the version of the image.
#
# setup-schema writes "version 0.0" and must run once in the life of a database.
# So an upgrade is tried first, and set-up follows only if the tool says that
# there is no version yet; any other failure is shown and ends the job.
set -eu

prepare() {
	database=$1
	schema=$2
	temporal-sql-tool --database "$database" create-database
	if said=$(temporal-sql-tool --database "$database" update-schema --schema-name "$schema" 2>&1); then
		echo "$database: up to date"
		return
	fi
	case $said in
	*'reading current schema version:'*schema_version*'does not exist'* | *'reading current schema version:'*'no rows in result set'*) ;;
	*)
		echo "$said" >&2
		echo "$database: upgrade failed" >&2
		exit 1
		;;
	esac
	temporal-sql-tool --database "$database" setup-schema --version 0.0
	temporal-sql-tool --database "$database" update-schema --schema-name "$schema"
	echo "$database: created"
}

prepare temporal postgresql/v12/temporal
prepare temporal_visibility postgresql/v12/visibility
