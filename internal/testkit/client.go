package testkit

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
)

// Client is the generated Go client, signed in.
type Client struct {
	*client.ClientWithResponses
	StaffID      uuid.UUID // zero for API keys
	SessionID    uuid.UUID
	Username     string
	Token        string // as sent in the Authorization header
	RefreshToken string
	app          *App
}

// Do sends a raw request with the client's credentials; see App.Do.
func (c *Client) Do(method, path string, body any, headers ...string) *Response {
	c.app.T.Helper()
	return c.app.Do(method, path, body, append([]string{"Authorization", "Bearer " + c.Token}, headers...)...)
}

// Bearer makes a client of any token, such as an API key.
func (a *App) Bearer(token string) *Client {
	a.T.Helper()
	c, err := client.NewClientWithResponses(a.URL, client.WithHTTPClient(a.HTTP),
		client.WithRequestEditorFn(func(_ context.Context, req *http.Request) error {
			req.Header.Set("Authorization", "Bearer "+token)
			return nil
		}))
	require.NoError(a.T, err)
	return &Client{ClientWithResponses: c, Token: token, app: a}
}

// SignIn signs in with a password, as a person would.
func (a *App) SignIn(username, password string) *Client {
	a.T.Helper()
	var result client.LoginResult
	a.Do(http.MethodPost, "/v1/auth/login", map[string]string{"username": username, "password": password}).Want(http.StatusOK).JSON(&result)
	require.NotNil(a.T, result.AccessToken)
	c := a.Bearer(*result.AccessToken)
	c.Username, c.RefreshToken, c.SessionID = username, *result.RefreshToken, *result.SessionId
	return c
}

// Admin is the first administrator, signed in once and fresh for what asks for
// a fresh proof.
func (a *App) Admin() *Client {
	a.T.Helper()
	a.root.mu.Lock()
	defer a.root.mu.Unlock()
	switch age := a.Clock.Now().Sub(a.root.proved); {
	case a.root.client == nil:
		a.root.client = a.SignIn(AdminUsername, AdminPassword)
		a.root.proved = a.Clock.Now()
	case age > freshFor:
		a.root.client.with(a).StepUp(AdminPassword)
		a.root.proved = a.Clock.Now()
	}
	return a.root.client.with(a)
}

// freshFor is a little less than what the service takes for a fresh proof.
const freshFor = 4 * time.Minute

// with is the same client for another test's failures.
func (c Client) with(a *App) *Client {
	c.app = a
	return &c
}

// StepUp proves again who the client is, for operations that ask for it after
// the clock was moved.
func (c *Client) StepUp(password string) {
	c.app.T.Helper()
	c.Do(http.MethodPost, "/v1/auth/step-up", map[string]any{"method": "password", "password": password}).Want(http.StatusOK)
}

// Client is a new member of staff with a role, signed in.
func (a *App) Client(role string, scope Scope) *Client {
	a.T.Helper()
	s := a.Staff(role, scope)
	c := a.SignIn(s.Username, StaffPassword)
	c.StaffID = s.Id
	return c
}
