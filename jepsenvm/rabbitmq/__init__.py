"""RabbitMQ: the AMQP client, rabbitmqctl, credentials, policies, names and versions."""
