CREATE USER 'goneaway'@'%' IDENTIFIED BY 'example-goneaway' WITH MAX_USER_CONNECTIONS 12;
GRANT PROCESS, REPLICATION CLIENT ON *.* TO 'goneaway'@'%';
GRANT SELECT ON performance_schema.* TO 'goneaway'@'%';
GRANT SELECT (User, max_user_connections) ON mysql.user TO 'goneaway'@'%';
