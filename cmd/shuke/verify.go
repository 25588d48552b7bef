package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/tablesum"
)

func verifyCommand() *cobra.Command {
	var tables bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the audit chain and that derived figures equal what they derive from",
		Long: `Recomputes the audit log's chain of hashes and compares every customer's
metrics with the sum of their orders and returns, every stock level with its
ledger and what is reserved, what every order keeps of its money with its
lines, payments, refunds and returns, and every account and lot of points and of
stored value with its ledger. Reads only; it may run beside a busy service. Ends with status 1 and a report when something does not hold.

With --tables it prints a checksum of each table instead, but for what merging
customers and undoing that need not leave as it was.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			i, err := boot(cmd.Context(), bootOptions{attach: true})
			if err != nil {
				return err
			}
			defer i.close()
			if tables {
				return printTables(cmd, i)
			}
			app, err := i.application()
			if err != nil {
				return err
			}
			ctx, out := auth.System(cmd.Context(), "verify"), cmd.OutOrStdout()
			sound := true
			chain, err := app.Operations.VerifyAudit(ctx)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "audit log: %d entries sealed, %d waiting to be sealed, head %d %x\n", chain.Sealed, chain.Waiting, chain.HeadSeq, chain.HeadHash)
			if chain.Bad != nil {
				sound = false
				fmt.Fprintf(out, "audit log: NOT SOUND: %s\n", chain.Bad)
			}
			metrics, err := app.Operations.VerifyMetrics(ctx)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "metrics: %d customers; orders %d of %d, returns %d of %d (minor units)\n",
				metrics.Customers, metrics.Orders, metrics.Spent, metrics.Returns, metrics.Returned)
			for _, d := range metrics.Differences {
				sound = false
				fmt.Fprintf(out, "metrics: NOT EQUAL: customer %s: %s\n", d.CustomerID, d.Text())
			}
			if metrics.More > 0 {
				fmt.Fprintf(out, "metrics: and %d more customers\n", metrics.More)
			}
			stock, err := app.Inventory.Verify(ctx, 100)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "stock: %d levels, %d movements\n", stock.Levels, stock.Movements)
			for _, d := range stock.Differences {
				sound = false
				fmt.Fprintf(out, "stock: NOT EQUAL: variant %s in store %s: on hand, damaged, incoming, reserved %v, by the ledger %v\n", d.VariantID, d.StoreID, d.Level, d.Ledger)
			}
			money, err := app.Orders.Verify(ctx, 100)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "orders: %d\n", money.Orders)
			for _, d := range money.Differences {
				sound = false
				fmt.Fprintf(out, "orders: NOT EQUAL: order %s: %s %d, by its parts %d\n", d.OrderID, d.What, d.Kept, d.Summed)
			}
			earned, err := app.Points.Verify(ctx, 100)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "points: %d accounts, %d lots, %d entries, %d postings\n", earned.Accounts, earned.Lots, earned.Entries, earned.Postings)
			for _, d := range earned.Differences {
				sound = false
				fmt.Fprintf(out, "points: NOT EQUAL: account %s, lot %s: %s %d, by the ledger %d\n", d.AccountID.UUID, d.LotID.UUID, d.Check, d.Found, d.Expected)
			}
			stored, err := app.Wallets.Verify(ctx, 100)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "stored value: %d accounts, %d lots, %d entries, %d postings\n", stored.Accounts, stored.Lots, stored.Entries, stored.Postings)
			for _, d := range stored.Differences {
				sound = false
				fmt.Fprintf(out, "stored value: NOT EQUAL: account %s, lot %s: %s %d, by the ledger %d\n", d.AccountID.UUID, d.LotID.UUID, d.Check, d.Found, d.Expected)
			}
			if !sound {
				return errReported
			}
			fmt.Fprintln(out, "everything holds")
			return nil
		},
	}
	cmd.Flags().BoolVar(&tables, "tables", false, "print a checksum of each table instead")
	return cmd
}

// printTables writes a line for each table: name, number of rows, digest.
func printTables(cmd *cobra.Command, i *installation) error {
	sums, err := tablesum.Of(cmd.Context(), i.db, tablesum.MergeUndone)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		fmt.Fprintln(cmd.OutOrStdout(), name, sums[name])
	}
	return nil
}
