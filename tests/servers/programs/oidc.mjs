// server.mjs ISSUER PORT: an OpenID provider on loopback whose people need no browser. POST /mint {"sub": ..., "scope": ...}
// with the client's credentials gives an access token, a refresh token and an ID token, as a finished log-in would.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const [issuer, port] = process.argv.slice(2);
const client = {
  client_id: 'scanner', client_secret: process.env.CLIENT_SECRET, grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
  redirect_uris: ['https://app.corp.example/callback'], response_types: ['code'],
};
const provider = new Provider(issuer, {
  clients: [client],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'] },
  scopes: ['openid', 'offline_access', 'email', 'profile', 'api'],
  features: {
    clientCredentials: { enabled: true }, devInteractions: { enabled: false }, introspection: { enabled: true },
    revocation: { enabled: true }, userinfo: { enabled: true },
  },
  findAccount: (_, sub) => ({
    accountId: sub,
    claims: () => ({ sub, email: `${sub}@corp.example`, email_verified: true, name: `${sub} of Corp`, preferred_username: sub }),
  }),
});

async function mint(request, response) {
  const said = Buffer.from((request.headers.authorization ?? '').replace('Basic ', ''), 'base64').toString();
  if (said !== `${client.client_id}:${client.client_secret}`) return response.writeHead(401).end();
  let text = '';
  for await (const piece of request) text += piece;
  const { sub, scope = 'openid email profile offline_access' } = JSON.parse(text);
  const found = await provider.Client.find(client.client_id);
  const grant = new provider.Grant({ accountId: sub, clientId: client.client_id });
  grant.addOIDCScope(scope);
  const grantId = await grant.save();
  const of = { accountId: sub, client: found, clientId: client.client_id, grantId, scope, gty: 'authorization_code' };
  const access = await new provider.AccessToken(of).save();
  const refresh = await new provider.RefreshToken(of).save();
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ access_token: access, refresh_token: refresh }));
}

const handle = provider.callback();
createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/mint') mint(request, response).catch((e) => response.writeHead(500).end(String(e)));
  else handle(request, response);
}).listen(Number(port), '127.0.0.1');
