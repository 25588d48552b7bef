package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/platform/config"
)

// fakesAddr is where stand-ins listen unless told otherwise.
const fakesAddr = "127.0.0.1:8090"

func fakeCommand() *cobra.Command {
	var addr, mailAddr string
	cmd := &cobra.Command{
		Use:   "fake",
		Short: "Run stand-in servers for the outside services",
		Long: `Stands in for WeChat, WeChat Pay, Alipay, the SMS providers, Kuaidi100, SF Express,
an OpenID Connect provider and a mail server until SIGINT or SIGTERM. Signatures, one-time codes and quotas are those
of the real ones; GET / of the address explains how to make them misbehave.

A service uses them with SHUKE_FAKES set to the same address, which also starts
them when they are not there. Whoever reaches them can sign in as anybody: they
listen on this machine only, unless SHUKE_ENV=development.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load()
			if err != nil {
				return err
			}
			if cfg.Env != config.Development {
				for _, a := range []string{addr, mailAddr} {
					if a != "" && !onThisMachine(a) {
						return fmt.Errorf("%s can be reached from elsewhere; use an address such as %s, or set SHUKE_ENV=development", a, fakesAddr)
					}
				}
			}
			log, err := newLogger(cfg, nil)
			if err != nil {
				return err
			}
			s, err := fake.Start(fake.Options{Addr: addr, Mail: mailAddr, Log: log})
			if err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "stand-ins for the outside services: %s (what they can do), mail at %s\n", s.URL, s.MailAddr)
			return s.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&addr, "addr", fakesAddr, "address of the HTTP stand-ins")
	cmd.Flags().StringVar(&mailAddr, "mail-addr", "", "address of the mail server (default a free port)")
	return cmd
}

func onThisMachine(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// standIns starts stand-ins for what is not configured, where SHUKE_FAKES asks
// for it, and completes the settings. Another process may have started them at
// the same address: replicas and workers of one machine share them.
func (i *installation) standIns(ctx context.Context) error {
	if i.cfg.Fakes == "" {
		return nil
	}
	auto := i.cfg.Fakes == config.FakesAuto
	addr := i.cfg.Fakes
	if auto {
		addr = fakesAddr
	}
	s, err := fake.Start(fake.Options{Addr: addr, Log: i.log})
	taken := errors.Is(err, syscall.EADDRINUSE)
	place := fake.Place{}
	switch {
	case err == nil:
		i.fakes, place = s, s.Place
	case taken && auto:
		if i.fakes, err = fake.Start(fake.Options{Log: i.log}); err != nil {
			return err
		}
		place = i.fakes.Place
	case taken:
		if place, err = fake.Find(ctx, addr); err != nil {
			return fmt.Errorf("SHUKE_FAKES: %w", err)
		}
	default:
		return fmt.Errorf("SHUKE_FAKES: %w", err)
	}
	real := i.cfg.RealServices()
	i.standInURL = place.URL
	i.cfg.StandIn(place.Settings(i.cfg.Outside))
	fmt.Fprintf(os.Stderr, "\nSTAND-INS ARE IN USE for the outside services: %s says what they can do.\n", place.URL)
	if len(real) > 0 {
		fmt.Fprintf(os.Stderr, "Real are: %s.\n", strings.Join(real, ", "))
	}
	fmt.Fprint(os.Stderr, "No message leaves this machine, no money moves, and whoever uses it can sign in as any member.\n\n")
	return nil
}
