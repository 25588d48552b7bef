package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shuke-crm/shuke/internal/platform/config"
	"github.com/shuke-crm/shuke/internal/platform/embedded"
	"github.com/shuke-crm/shuke/internal/platform/migrate"
)

func migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database to this release's schema",
		Long: `Applies the migrations that are missing, as the schema's owner
(SHUKE_DATABASE_OWNER_URL). Several at once are safe: one works, the others
wait. The service itself only checks that nothing is missing when it is not
given the owner's address.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			cfg, err := config.Load()
			if err != nil {
				return err
			}
			i := &installation{cfg: cfg}
			if i.log, err = newLogger(cfg, nil); err != nil {
				return err
			}
			defer i.close()
			if cfg.EmbeddedPostgres() {
				if err := i.startServers(ctx, true); err != nil {
					return err
				}
			} else if i.owner = cfg.DatabaseOwnerURL; i.owner == "" {
				return errors.New("set SHUKE_DATABASE_OWNER_URL to the address of the schema's owner")
			}
			applied, err := migrate.Up(ctx, i.owner)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d migrations applied; the schema is up to date\n", applied)
			return nil
		},
	}
	cmd.AddCommand(rolesCommand("roles"))
	return cmd
}

// rolesCommand prints what a superuser runs once on a PostgreSQL of their own.
func rolesCommand(name string) *cobra.Command {
	return &cobra.Command{
		Use:   name,
		Short: "Print the SQL that makes database and roles on a PostgreSQL of yours",
		Long: `Prints a psql script that makes the database and the roles shuke_owner,
shuke_app and shuke_bi. A superuser runs it once:

  shuke ` + "roles-sql" + ` | psql -v owner_password=… -v app_password=… -v bi_password=… postgres`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), embedded.RolesSQL)
			return err
		},
	}
}
