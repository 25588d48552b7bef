package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
)

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Show and rotate encryption keys"}
	cmd.AddCommand(keysStatusCommand(), keysRotateCommand())
	return cmd
}

func keysStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show key versions and how many customers each protects; no key is shown",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			i, err := boot(cmd.Context(), bootOptions{attach: true})
			if err != nil {
				return err
			}
			defer i.close()
			app, err := i.application()
			if err != nil {
				return err
			}
			versions, err := app.Operations.DataKeyVersions(auth.System(cmd.Context(), "keys"))
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "keyring      %s\nfingerprint  %s\nbusiness key version %d\n", i.cfg.KeyringFile, i.keys.Fingerprint(), i.keys.BusinessKeyVersion())
			for _, v := range versions {
				fmt.Fprintf(out, "  version %d wraps the data keys of %d customers\n", v.Version, v.Customers)
			}
			return nil
		},
	}
}

func keysRotateCommand() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Add a business key and move every customer's data key to it",
		Long: `Adds a business key to the keyring, gives running services time to load it,
begins to use it, and wraps every customer's data key with it, in batches. What
was sealed with the data keys stays as it is, so nothing is unreadable at any
moment. It may be interrupted and run again with --resume. The old version stays in the
keyring: old backups need it.

Where several machines serve one database, copy the keyring to each within the
time given by --wait.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			i, err := boot(ctx, bootOptions{attach: true, migrate: true})
			if err != nil {
				return err
			}
			defer i.close()
			resume, err := cmd.Flags().GetBool("resume")
			if err != nil {
				return err
			}
			if !resume {
				if err := i.addBusinessKey(ctx, cmd, wait); err != nil {
					return err
				}
			}
			app, err := i.application()
			if err != nil {
				return err
			}
			moved, err := app.Operations.RewrapDataKeys(auth.System(ctx, "keys"), func(done, total int64) {
				fmt.Fprintf(cmd.ErrOrStderr(), "\r%d of %d", done, total)
			})
			if moved > 0 {
				fmt.Fprintln(cmd.ErrOrStderr())
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "business key version %d is in use; %d data keys moved to it\n", i.keys.BusinessKeyVersion(), moved)
			return nil
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 5*keyringPoll, "between adding the key and using it, for running services to load it")
	cmd.Flags().Bool("resume", false, "only move what an interrupted rotation left")
	return cmd
}

// addBusinessKey writes the new key to the file twice: first known, then in
// use, so that no service meets rows wrapped with a key it has not loaded.
func (i *installation) addBusinessKey(ctx context.Context, cmd *cobra.Command, wait time.Duration) error {
	var version uint16
	if _, err := crypto.Update(i.cfg.KeyringFile, func(k *crypto.Keyring) (err error) {
		version, err = k.StageBusinessKey()
		return err
	}); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "added business key version %d; waiting %s for running services to load it\n", version, wait)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
	}
	if _, err := crypto.Update(i.cfg.KeyringFile, func(k *crypto.Keyring) error { return k.ActivateBusinessKey(version) }); err != nil {
		return err
	}
	return i.keys.Reload(i.cfg.KeyringFile)
}
