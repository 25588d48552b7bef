package migrate_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/migrate"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

func TestSeveralStartersMigrateOnce(t *testing.T) {
	base := pgtest.NewEmptyDatabase(t)
	// What roles.sql grants in the service's database.
	_, err := base.Admin(t).Exec("REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT ALL ON SCHEMA public TO shuke_owner; GRANT USAGE ON SCHEMA public TO shuke_app, shuke_bi")
	require.NoError(t, err)
	d := base.Open(t)
	require.ErrorContains(t, migrate.Check(context.Background(), d.SQL), "shuke migrate")

	var wg sync.WaitGroup
	applied := make([]int, 3)
	for i := range applied {
		wg.Go(func() {
			var err error
			if applied[i], err = migrate.Up(context.Background(), base.OwnerURL); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	worked := 0
	for _, n := range applied {
		if n > 0 {
			worked++
		}
	}
	require.Equal(t, 1, worked, "one works, the others wait: %v", applied)
	require.NoError(t, migrate.Check(context.Background(), d.SQL))

	n, err := migrate.Up(context.Background(), base.OwnerURL)
	require.NoError(t, err)
	require.Zero(t, n)

	// The service's role got what it needs and no more.
	_, err = d.Exec(context.Background(), "INSERT INTO settings (key, value, updated_at) VALUES ('a', '{}', now())")
	require.NoError(t, err)
	_, err = d.Exec(context.Background(), "DELETE FROM audit_logs")
	require.Equal(t, "42501", db.Code(err))

	_, err = base.Owner(t).Exec("DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)")
	require.NoError(t, err)
	require.ErrorContains(t, migrate.Check(context.Background(), d.SQL), "lacks migration")
}

func TestTheServicesRoleCannotMigrate(t *testing.T) {
	base := pgtest.NewEmptyDatabase(t)
	_, err := migrate.Up(context.Background(), base.AppURL)
	require.Error(t, err)
	_, err = migrate.Up(context.Background(), "host=/nonexistent")
	require.ErrorContains(t, err, "connect as the schema's owner")
}
