BEGIN TRANSACTION;
CREATE TABLE access_tokens (
	user_id INTEGER NOT NULL, 
	access_token VARCHAR(255) NOT NULL, 
	expiration_date DATETIME NOT NULL, 
	PRIMARY KEY (user_id), 
	FOREIGN KEY(user_id) REFERENCES users (id)
);
INSERT INTO "access_tokens" VALUES(1,'yhttCfoEj2VUI50YTlbcE-RDaZfTwgULDb82FQHWxRw','2126-11-27 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(2,'4mkkr4vmY6GQHBOVAK86FRHLgK-h3r0nrL9bU1CTHW0','2126-11-27 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(3,'Vddfcvb2t0hlX0YNjoZI1yhZQWLDhr1f1dr-8qkivmc','2126-11-27 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(4,'3iaqZ3GYvlbM9vHLYPUtLfHZ_2S5UnD6W1NuCizTbQ8','2026-11-25 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(5,'7PjIdBpg0_xT4ZFVRNujSMbN2mWW1tkYF0X5HSsdmzM','2126-11-27 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(6,'mxcsRBJHRiZJhoX7jHALwqLiql3fmZtv64B4n8c26nk','2126-11-27 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(7,'M4zqmDWKvGHzJYHv7vZC7K4i8eSZB5-TjggOyTMmZ3A','2126-11-27 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(8,'Prbtj15jrfDaZyk7zmiHQi8YFmxdEOmIaaX8p87W8bs','2026-11-25 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(9,'zDQGrEH_XRQRSFneQc1aLYBLi2KD4ztVXZPiC5a9MFc','2126-11-27 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(10,'abHn-thNwY5rGd4w3sUfHS1tBgdRzuy6qimnvhUq4n0','2126-11-27 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(11,'V1QBRCUNrsjijeAUYymzrtXmjTzNSoxhxNw6zMZ6V8M','2126-11-27 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(12,'W16YcOOrpYQ9IyqDXSZawET9hl3Yodj2VlHh6pN8Z8E','2026-11-25 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(13,'ZdcXMRBdRhpbpk1yj4OMuuLId65RrPeUAiSLfsW3bQM','2126-11-27 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(14,'FzREOzseG0oJYfO-PPWBakkebgeXIeeKmWtPNbHrLrU','2126-11-27 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(15,'K7a9u5NAQFkbJOzhDH7qcEdHFs1ieLE2fgwfYemlXk0','2126-11-27 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(16,'VmmuhDjtxUKep9I0y6OI9QM68f5-W9Qj2LP6iICoV8s','2026-11-25 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(17,'J2mwmfRbVtB9sZ4YN0haqUMFvy2NmIbRvCswW6WG58w','2126-11-27 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(18,'shJskrA_ytdZPIJTAxU85ZkHmpd_VIhJv9mGhHWS_-Q','2126-11-27 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(19,'UBpzgEOCXP3gZNAK3iNAcD1fcCjqhjNp63PXu42FTZg','2126-11-27 00:27:48.372377');
INSERT INTO "access_tokens" VALUES(20,'YAEB3nhxbsjTk8DT_haDdEjgdrVvBTULAoGCl4_FYHQ','2026-11-25 00:27:48.372377');
CREATE TABLE users (
	id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	surname VARCHAR NOT NULL, 
	email VARCHAR NOT NULL, 
	website VARCHAR NOT NULL, 
	hashed_password VARCHAR(255) NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "users" VALUES(1,'Person 0','Пример','Person0@Example.com','https://example.com/0','$2b$04$1UK7ScKdrWGnubCeJdmeyOMiRu7FFqNOhLME1LpeOBS4hZ0vdd7rC');
INSERT INTO "users" VALUES(2,'Person 1','Пример','Person1@Example.com','https://example.com/1','$2b$04$N4OciM.qV9h1Lqd/2lDE2.NBdHfbNbc5mwuxQ4Zt1wY1TLiPtr5ue');
INSERT INTO "users" VALUES(3,'Person 2','Пример','Person2@Example.com','https://example.com/2','$2b$04$r3EYeT/NDYjSaqF9sE3e0uwAeeHxgjK0uaTkJOskF6OCyj9samtxu');
INSERT INTO "users" VALUES(4,'Person 3','Пример','Person3@Example.com','https://example.com/3','$2b$04$G.8HGAgOLe/iLP9nkKsEoexf1WPpRwqyetiAniQOo7L4fWncVuysS');
INSERT INTO "users" VALUES(5,'Person 4','Пример','Person4@Example.com','https://example.com/4','$2b$04$NX2K2Wz8Q5KaiUaslGnwK.suCbOahTrb7S8437RME7I75EHQ/5boK');
INSERT INTO "users" VALUES(6,'Person 5','Пример','Person5@Example.com','https://example.com/5','$2b$04$Ci5P4jpZW4Acpik8DHLy2.bBSWQ.TpAItnq8W802Z6AjrEeFvdhLG');
INSERT INTO "users" VALUES(7,'Person 6','Пример','Person6@Example.com','https://example.com/6','$2b$04$tXSEg4y2DeGGUew2eiwMV.55LrEMGq8NncXaI2/8R35HofxpUNFm.');
INSERT INTO "users" VALUES(8,'Person 7','Пример','Person7@Example.com','https://example.com/7','$2b$04$6lpuz9VLWinUh/OMZDL4W.PB7Z7sIKI6aPTHFCdARBGd/DFuT5z9i');
INSERT INTO "users" VALUES(9,'Person 8','Пример','Person8@Example.com','https://example.com/8','$2b$04$yGxURBn1.eMZ.ah5gxdyluvmrxCxSzru9/dWq6lhGyF6Ti8XCtMCa');
INSERT INTO "users" VALUES(10,'Person 9','Пример','Person9@Example.com','https://example.com/9','$2b$04$x2lmQSn07qFCgwUX/lXJQuIFQkUKTgvG2G/qdDqPNI6WaY6nDNWGy');
INSERT INTO "users" VALUES(11,'Person 10','Пример','Person10@Example.com','https://example.com/10','$2b$04$gFwZpoWPZyc3virvSKBJTO9prQcd0cb3F7EyfADDJlRwTXvCBeCLa');
INSERT INTO "users" VALUES(12,'Person 11','Пример','Person11@Example.com','https://example.com/11','$2b$04$u7JbKfZF91/xuVHStDxr6OUNOb9ZHQfQudmONvimDoPbeDpMjBsgq');
INSERT INTO "users" VALUES(13,'Person 12','Пример','Person12@Example.com','https://example.com/12','$2b$04$L3rPXzk7vWWYP6qn17C7LuALhqQdaJVXMXO96sk3l2XMPIObb0Wou');
INSERT INTO "users" VALUES(14,'Person 13','Пример','Person13@Example.com','https://example.com/13','$2b$04$5Degd24uqwuvlQ.7WCtx9.v2BpJ4BlHNNRdwkYU4r6Cr/YqUdKeIm');
INSERT INTO "users" VALUES(15,'Person 14','Пример','Person14@Example.com','https://example.com/14','$2b$04$ZGuxvtt3gEvyaIbiWRtulOT3VKfZok4owbTQVbWqzeXmGwu.cjUkq');
INSERT INTO "users" VALUES(16,'Person 15','Пример','Person15@Example.com','https://example.com/15','$2b$04$oZ7yosjyXEd644gPKy.w7u9eQJIkwi98PZsfEqYo9fdaLK1UJtaaq');
INSERT INTO "users" VALUES(17,'Person 16','Пример','Person16@Example.com','https://example.com/16','$2b$04$RcIy26Nf9yk.OQDQogGzQe2MbFuj9UFbYePMvQ5VmK5zy8hmjd1.6');
INSERT INTO "users" VALUES(18,'Person 17','Пример','Person17@Example.com','https://example.com/17','$2b$04$VsGmkdaseeRpAayLIaI4keRX28VxPAltPszAP0.ZTeozyjUCPnWv2');
INSERT INTO "users" VALUES(19,'Person 18','Пример','Person18@Example.com','https://example.com/18','$2b$04$efy0eLlflZEQlhax5oKFG.qPo6DKC.07IIp1okIHYcS1jmhwYFMUm');
INSERT INTO "users" VALUES(20,'Person 19','Пример','Person19@Example.com','https://example.com/19','$2b$04$YAK.m8zb/Cj/O63Y5ul6ruJ5PCIcj5LSuV7KlE3TNvmQxagEKrwbG');
INSERT INTO "users" VALUES(21,'x','','person0@example.com','','!');
INSERT INTO "users" VALUES(22,'x','','nobody@localhost','','!');
CREATE UNIQUE INDEX ix_users_email ON users (email);
CREATE INDEX ix_access_tokens_access_token ON access_tokens (access_token);
COMMIT;
