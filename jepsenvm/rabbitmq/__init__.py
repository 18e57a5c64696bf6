"""Everything that knows RabbitMQ: the AMQP client, rabbitmqctl, credentials, policies and versions."""
