// Unleash on loopback, told everything by its environment; it asks nobody for versions and sends no telemetry.
const { start } = require('unleash-server');
const { DATABASE_PORT, DATABASE_PASSWORD, SERVER_PORT, ADMIN_PASSWORD } = process.env;

start({
  db: { host: '127.0.0.1', port: Number(DATABASE_PORT), user: 'postgres', password: DATABASE_PASSWORD, database: 'unleash', ssl: false },
  server: { host: '127.0.0.1', port: Number(SERVER_PORT), serverMetrics: false },
  authentication: { initialAdminUser: { username: 'root', password: ADMIN_PASSWORD } },
  versionCheck: { enable: false },
  telemetry: false,
  logLevel: 'warn',
}).catch((error) => {
  console.error(error);
  process.exit(1);
});
