package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/internal/identity"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/logistics"
	"github.com/shuke-crm/shuke/internal/platform/pay"
)

func adminCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Keys and passwords, from the machine itself",
		Long: `Does what somebody who may read the data folder may do anyway. Everything is
written to the audit log as done by the system. It works beside a running service.`,
	}
	cmd.AddCommand(apiKeyCommand(), resetPasswordCommand(), resetFactorsCommand(), callbackAddressCommand())
	return cmd
}

func apiKeyCommand() *cobra.Command {
	var name string
	var permissions []string
	var expires time.Duration
	cmd := &cobra.Command{
		Use:   "api-key",
		Short: "Issue an API key and print it once",
		Long: `Issues a key that sees all stores and prints it on standard output, nothing
else: KEY=$(shuke admin api-key --name till-3 --permissions customers.lookup,orders.ingest)`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			i, err := boot(cmd.Context(), bootOptions{attach: true, migrate: true})
			if err != nil {
				return err
			}
			defer i.close()
			app, err := i.application()
			if err != nil {
				return err
			}
			in := identity.CreateKeyInput{Name: name, Permissions: permissions, AllStores: true}
			if len(permissions) == 0 {
				for _, p := range auth.All() {
					in.Permissions = append(in.Permissions, string(p))
				}
			}
			if expires > 0 {
				at := i.clock.Now().Add(expires)
				in.ExpiresAt = &at
			}
			_, key, err := app.Identity.CreateKey(auth.System(cmd.Context(), "admin"), in)
			if err != nil {
				return explained(err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), key)
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "command line", "what the key is for")
	cmd.Flags().StringSliceVar(&permissions, "permissions", nil, "permissions, separated by commas (default: all)")
	cmd.Flags().DurationVar(&expires, "expires", 0, "how long it lives, such as 720h (default: until revoked)")
	return cmd
}

func callbackAddressCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "callback-address wechat_pay|alipay|kuaidi100|sf",
		Short: "Print where a provider sends its notices",
		Long: `For the console of a provider that must be told, such as SF Express for its route
pushes; the others learn it with each request. The address contains a secret.`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{pay.WeChat, pay.Alipay, logistics.Kuaidi100Name, logistics.SFName},
		RunE: func(cmd *cobra.Command, args []string) error {
			i, err := boot(cmd.Context(), bootOptions{attach: true, migrate: true})
			if err != nil {
				return err
			}
			defer i.close()
			app, err := i.application()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), app.Orders.CallbackURL(args[0]))
			return err
		},
	}
}

func resetPasswordCommand() *cobra.Command {
	var username string
	cmd := &cobra.Command{
		Use:   "reset-password",
		Short: "Give a member of staff a new random password and print it",
		Long: `Sets a random password, ends all sessions of the account and prints the
password on standard output. The person is asked to choose another at the next sign-in.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			i, err := boot(cmd.Context(), bootOptions{attach: true, migrate: true})
			if err != nil {
				return err
			}
			defer i.close()
			app, err := i.application()
			if err != nil {
				return err
			}
			ctx := auth.System(cmd.Context(), "admin")
			who, err := i.member(ctx, username)
			if err != nil {
				return err
			}
			password, err := app.Identity.ResetPassword(ctx, who.ID, nil)
			if err != nil {
				return explained(err)
			}
			if who.Username == identity.AdminUsername {
				// The file would show a password that opens nothing any more.
				if err := os.Remove(i.passwordFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
					return err
				}
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), password)
			return err
		},
	}
	cmd.Flags().StringVar(&username, "username", identity.AdminUsername, "whose")
	return cmd
}

func resetFactorsCommand() *cobra.Command {
	var username string
	cmd := &cobra.Command{
		Use:   "reset-factors",
		Short: "Take a member of staff's second factors away",
		Long: `For the last administrator who has lost the app, the phone and the recovery
codes; for others an administrator does it (DELETE /v1/staff/{id}/mfa). Ends all
sessions of the account; the password stays.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			i, err := boot(cmd.Context(), bootOptions{attach: true, migrate: true})
			if err != nil {
				return err
			}
			defer i.close()
			app, err := i.application()
			if err != nil {
				return err
			}
			ctx := auth.System(cmd.Context(), "admin")
			who, err := i.member(ctx, username)
			if err != nil {
				return err
			}
			return explained(app.Identity.ResetFactors(ctx, who.ID))
		},
	}
	cmd.Flags().StringVar(&username, "username", identity.AdminUsername, "whose")
	return cmd
}

// member finds somebody by their user name.
func (i *installation) member(ctx context.Context, username string) (*platform.Staff, error) {
	who, err := i.db.Platform.Staff.Query().Where(staff.Username(strings.ToLower(username))).Only(ctx)
	if platform.IsNotFound(err) {
		return nil, fmt.Errorf("there is no user %s", username)
	}
	return who, err
}

// explained adds the text of an error meant for people.
func explained(err error) error {
	if e := apperr.From(err); e != nil {
		return fmt.Errorf("%s (%w)", e.Def.Text("en", e.Args), err)
	}
	return err
}
