// kafkajs against the server.
import { journey } from "./clients/journey.ts";
import { openKafkajs } from "./clients/kafkajs.ts";

journey("kafkajs", openKafkajs);
