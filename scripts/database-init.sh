#!/bin/bash
# Run by the database container of compose.yaml when its volume is new: creates
# the roles and the database with the passwords from the environment.
set -euo pipefail
psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres \
	-v owner_password="$OWNER_PASSWORD" -v app_password="$APP_PASSWORD" -v bi_password="$BI_PASSWORD" \
	-f /roles.sql
